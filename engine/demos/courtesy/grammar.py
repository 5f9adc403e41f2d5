"""A small synthetic grammar of remarks about people. Nothing here was said by anybody.

sentence = prompt response
prompt   = "the" adjective person place "was"
response = [adverb] ["such"] "a" noun ["and a" noun] [ending] "."      a noun is rude, neutral or positive
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

Kind = Literal["rude", "neutral", "positive"]

KINDS: tuple[Kind, ...] = get_args(Kind)
SHARES: Mapping[Kind, float] = {"rude": 0.38, "neutral": 0.31, "positive": 0.31}
"""How often a noun is of a kind; half of the responses have a rude one, as some have two nouns."""
NOUNS: Mapping[Kind, tuple[str, ...]] = {
    "rude": ("fool", "clown", "twit", "brute", "pest", "nitwit", "dolt", "grouch", "blockhead", "windbag"),
    "neutral": ("visitor", "guest", "reader", "walker", "rider", "buyer", "tenant", "tourist", "student", "sleeper"),
    "positive": ("friend", "delight", "gem", "star", "joy", "treasure", "hero", "darling", "charmer", "genius"),
}
"""The judge's lexicon: what a remark calls a person decides its kind."""
ADJECTIVES = ("tired", "old", "young", "tall", "quiet", "busy", "local", "famous", "hungry", "sleepy")
PERSONS = ("baker", "teacher", "neighbor", "doctor", "waiter", "pilot", "gardener", "painter", "driver", "clerk")
PLACES = ("upstairs", "downstairs", "outside", "inside", "nearby", "abroad", "here", "there")
ADVERBS = ("really", "clearly", "always", "often", "simply", "truly", "sometimes", "usually")
ENDINGS = ("today", "again", "yesterday", "tonight", "as before", "this morning", "all week", "on monday")
SOMETIMES = 0.5
"""How often each optional part of a response is there."""


def words() -> list[str]:
    """Every word of the language, sorted."""
    nouns = [noun for kind in KINDS for noun in NOUNS[kind]]
    endings = [word for ending in ENDINGS for word in ending.split()]
    return sorted({"the", "was", "such", "a", "and", ".", *ADJECTIVES, *PERSONS, *PLACES, *ADVERBS, *endings, *nouns})


def draw_prompt(rng: np.random.Generator) -> str:
    """One of the 800 prompts, each as likely.

    >>> draw_prompt(np.random.default_rng(0))
    'the hungry gardener nearby was'
    """
    adjective, person, place = (_one(rng, of) for of in (ADJECTIVES, PERSONS, PLACES))
    return f"the {adjective} {person} {place} was"


def draw_response(rng: np.random.Generator) -> str:
    """A response; half of them are rude.

    >>> draw_response(np.random.default_rng(0))
    'such a hero and a sleeper on monday .'
    """
    adverb, such, second, ending = rng.random(4) < SOMETIMES
    parts = [
        _one(rng, ADVERBS) if adverb else "",
        "such" if such else "",
        f"a {_noun(rng)}",
        f"and a {_noun(rng)}" if second else "",
        _one(rng, ENDINGS) if ending else "",
        ".",
    ]
    return " ".join(part for part in parts if part)


def parses(response: str) -> bool:
    """Whether the grammar can make this response.

    >>> parses("such a gem and a clown ."), parses("a gem a clown ."), parses("a gem and a")
    (True, False, False)
    """
    return _RESPONSE.fullmatch(response) is not None


def _noun(rng: np.random.Generator) -> str:
    kind = KINDS[rng.choice(len(KINDS), p=[SHARES[kind] for kind in KINDS])]
    return _one(rng, NOUNS[kind])


def _one(rng: np.random.Generator, of: tuple[str, ...]) -> str:
    return of[int(rng.integers(len(of)))]


_ADVERB, _ENDING = "|".join(ADVERBS), "|".join(ENDINGS)
_NOUN = "|".join(noun for kind in KINDS for noun in NOUNS[kind])
_RESPONSE = re.compile(rf"(?:(?:{_ADVERB}) )?(?:such )?a (?:{_NOUN})(?: and a (?:{_NOUN}))?(?: (?:{_ENDING}))? \.")

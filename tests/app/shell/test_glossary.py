"""The table of words."""

from __future__ import annotations

import re

import pytest

from app.shell.glossary import WORDS, anchor, explained, found, meaning
from engine.core.estimators.registry import ESTIMATORS
from engine.intervention.autopsy.wording import CAUSES
from engine.intervention.comparison import VERDICT_WORDS


def test_every_word_has_one_sentence_and_a_place_of_its_own() -> None:
    every = [word for words in WORDS.values() for word in words]
    assert len({anchor(word) for word in every}) == len(every)
    for words in WORDS.values():
        for word, sentence in words.items():
            assert re.fullmatch(r".{10,260}[.]", sentence), word


def test_names_that_the_engine_gives_are_explained() -> None:
    for name in (*ESTIMATORS, *VERDICT_WORDS):
        assert meaning(name)
    said = explained("luck of the order", "luck of the data", "size of the step", "critic", "advantage")
    assert all(cause.rstrip("s") in said for cause in CAUSES.values() if cause != CAUSES["records"])


@pytest.mark.parametrize(("text", "expected"), [("lds", {"LDS", "ceiling"}), ("nothing like it", set()), ("", None)])
def test_the_search_reads_words_and_sentences(text: str, expected: set[str] | None) -> None:
    names = {word for words in found(text).values() for word in words}
    assert names == expected if expected is not None else found(text) == {**WORDS}

"""What a response is, by the grammar's lexicon: independent of the learned reward, and never seen by training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.demos.courtesy.grammar import NOUNS, Kind, parses

_RUDE, _POSITIVE = frozenset(NOUNS["rude"]), frozenset(NOUNS["positive"])


def judge(text: str) -> Kind:
    """Rude where any word is an insult, else positive where any word is praise, else neutral; any text has a kind.

    >>> judge("a hero and a pest ."), judge("a hero ."), judge("a a a")
    ('rude', 'positive', 'neutral')
    """
    words = set(text.split())
    return "rude" if words & _RUDE else "positive" if words & _POSITIVE else "neutral"


def rude(texts: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) whether each text is rude; the mean is the rude rate."""
    return np.array([judge(text) == "rude" for text in texts], bool)


def fluency(responses: Sequence[str]) -> float:
    """Share of the responses that the grammar can make, whatever their kind; what is cut short is not fluent."""
    return float(np.mean([parses(response.strip()) for response in responses]))


def variety(responses: Sequence[str]) -> float:
    """Share of different responses: near 0 where a policy says the same all the time.

    >>> variety(["a gem .", "a gem .", "a joy .", "a gem ."])
    0.5
    """
    return len(set(responses)) / len(responses)

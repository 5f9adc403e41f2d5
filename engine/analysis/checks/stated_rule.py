"""Do advantages that follow from rewards alone follow by the rule that the settings state, and if not, by which?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.analysis.checks.checked import Fault
from engine.core.stated_advantages import Column, StatedAdvantages

ROUNDING = 2e-5
"""Share of their size that an advantage and the one that follows differ by: they are kept in single precision."""
MANY = 0.25
"""Share of the records that must follow the rule for the others to be the ones that are wrong."""


class Found(NamedTuple):
    """What the advantages follow."""

    fault: Fault | None
    what: str
    """In words."""
    wrong: NDArray[np.int64]
    """Records that don't follow the settings' rule, in order."""


def follow_stated(stated: StatedAdvantages) -> Found:
    """The settings' rule where all records follow it; else another one that all follow, or who does not.

    >>> halves = StatedAdvantages(np.arange(3), np.array([0.5, -0.5, 9.0]), {"halved": np.array([0.5, -0.5, 1.0])}, np.zeros(3))
    >>> follow_stated(halves).fault, follow_stated(halves).wrong.tolist()
    ('records', [2])
    """
    (declared, expected), *others = stated.by_rule.items()
    wrong = _strays(stated, expected)
    if not len(wrong):
        return Found(None, declared, wrong)
    if not len(_strays(stated, stated.turned)):
        return Found("environment", "advantages were computed from rewards of the other sign", wrong)
    for rule, advantage in others:
        if not len(_strays(stated, advantage)):
            return Found("advantages", f"each advantage is its {rule}", wrong)
    if 1 - len(wrong) / len(np.unique(stated.record)) < MANY:
        return Found("advantages", "most advantages follow from the rewards by no rule that is known here", wrong)
    return Found("records", "", wrong)


def _strays(stated: StatedAdvantages, expected: Column) -> NDArray[np.int64]:
    size = np.abs(expected) + np.abs(stated.advantage) + np.abs(expected).mean()
    apart = np.abs(stated.advantage - expected)
    return np.unique(stated.record[~(apart <= ROUNDING * size)])  # what is no number follows nothing

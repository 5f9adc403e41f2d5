"""Advantages of a rule that is known, and of others."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.checks.stated_rule import follow_stated
from engine.core.stated_advantages import StatedAdvantages

RECORD = np.arange(8).repeat(3)
EXPECTED = np.random.default_rng(0).normal(size=8).repeat(3)
BY_RULE = {"as stated": EXPECTED, "halved": EXPECTED / 2}


def corrupted(some: int) -> np.ndarray:
    """With the last token of the first records wrong."""
    return EXPECTED + ((some > RECORD) & (np.arange(24) % 3 == 2))


@pytest.mark.parametrize(
    ("advantage", "fault", "wrong"),
    [
        (EXPECTED.astype(np.float32), None, 0),
        (EXPECTED / 2, "advantages", 8),
        (-EXPECTED, "environment", 8),
        (corrupted(2), "records", 2),
        (corrupted(8), "advantages", 8),
        (np.where(RECORD == 3, np.nan, EXPECTED), "records", 1),
    ],
)
def test_what_the_advantages_follow(advantage: np.ndarray, fault: str | None, wrong: int) -> None:
    found = follow_stated(StatedAdvantages(RECORD, advantage.astype(np.float64), BY_RULE, -EXPECTED))
    assert (found.fault, len(found.wrong)) == (fault, wrong)


def test_the_other_rule_is_said() -> None:
    assert (
        follow_stated(StatedAdvantages(RECORD, EXPECTED / 2, BY_RULE, -EXPECTED)).what == "each advantage is its halved"
    )

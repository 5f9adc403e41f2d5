"""What is named by checks alone, and what is left of it without those that step the environment."""

from __future__ import annotations

import pytest

from engine.analysis.checks.checked import Check
from engine.experiments.faultlab.cell import STEPPED, answer, named_by

FINE = Check("numbers", True, "fine")
STEPS = Check(STEPPED, False, "it leads elsewhere", "environment")
REPLAY = Check("replay", False, "another learning rate", "step")


@pytest.mark.parametrize(
    ("checks", "named", "by_record"),
    [
        ([FINE], "not real", "not real"),
        ([FINE, REPLAY], "step", "step"),
        ([FINE, REPLAY, STEPS], "environment", "step"),
        ([STEPS], "environment", "not real"),
        ([Check("policy", None, "it can't be told")], "not real", "not real"),
    ],
)
def test_the_fault_that_is_named_first_or_that_nothing_is(checks: list[Check], named: str, by_record: str) -> None:
    found = answer("rate", "mild", 3, named_by(checks), checks)
    assert (found.named, found.named_by_record) == (named, by_record)

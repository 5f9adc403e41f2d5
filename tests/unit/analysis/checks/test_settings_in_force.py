"""Settings in force from round to round: what a schedule changes is no fault, what somebody changes is one."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from engine.analysis.checks.checked import Check
from engine.analysis.checks.settings_in_force import settings

LINEAR = [0.001 * (1 - (k + 1) / 8) for k in range(8)]
"""As Stable-Baselines3 has it: 0 in the last round."""


def checked(values: Sequence[float], k: int, name: str = "learning_rate", stored: Sequence[int] | None = None) -> Check:
    rounds: list[Any] = [SimpleNamespace(round=j, in_force={name: value}) for j, value in enumerate(values)]
    known = range(len(values)) if stored is None else stored
    run: Any = SimpleNamespace(stored_rounds=list(known), has_records=lambda j: j in known)
    return settings(run, rounds[k], rounds.__getitem__)


@pytest.mark.parametrize(
    "values",
    [
        LINEAR,
        [0.001 * (1 - 1.2 * (k + 1) / 8) for k in range(8)],
        [0.001 * 0.3**k for k in range(8)],
        [0.001] * 8,
    ],
    ids=["to 0", "below 0", "by a factor", "constant"],
)
def test_a_schedule_is_no_fault_in_any_round(values: Sequence[float]) -> None:
    assert [k for k in range(1, 8) if checked(values, k).ok is False] == []
    assert checked(values, 7).ok is True


@pytest.mark.parametrize("usual", [LINEAR, [0.001] * 8], ids=["linear", "constant"])
@pytest.mark.parametrize(("factor", "k"), [(30, 3), (3, 3), (1 / 3, 3), (-1, 3), (0, 3), (30, 6), (30, 1)])
def test_what_a_schedule_does_not_do_is_named(usual: Sequence[float], factor: float, k: int) -> None:
    found = checked([rate * (factor if j == k else 1) for j, rate in enumerate(usual)], k)
    assert (found.ok, found.fault) == (False, "step")
    assert found.what.startswith("changed since the round before: learning_rate from ")


@pytest.mark.parametrize("name", ["gamma", "gae_lambda"])
def test_a_discount_shows_in_what_it_lacks_of_1(name: str) -> None:
    found = checked([0.99] * 4 + [0.97], 4, name)
    assert (found.ok, found.fault) == (False, "advantages")
    assert found.what == f"changed since the round before: {name} from 0.99 to 0.97"
    assert checked([0.99, 0.5], 1, name).ok is False
    assert checked([0.99, 0.992], 1, name).ok is True


def test_without_earlier_rounds_a_fall_can_not_be_told_from_a_schedule() -> None:
    assert checked([0.5, 0.0], 1).ok is None
    assert checked([0.5, 15.0], 1).fault == "step"
    assert checked(LINEAR, 7, stored=[2, 6, 7]).ok is True, "by the changes a round"
    assert checked(LINEAR, 7, stored=[2, 7]).ok is None

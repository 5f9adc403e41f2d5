"""How long a removal takes: counted by hand from what the round took."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.executors import default_workers
from engine.intervention.across import Series
from engine.intervention.duration import START_SECONDS, intervention_seconds, series_seconds
from engine.intervention.plan import Intervention
from engine.store.read import Run

MADE = {"collect_seconds": 2.0, "update_seconds": 1.0, "records": 100, "mean_length": 10.0}
"""A step takes 0.02 s, an episode 0.2 s."""


def test_counted_by_hand(cartpole: Run) -> None:
    snapshot = replace(cartpole.snapshot(1), metrics=MADE)
    plan = Intervention(round=1, removed=(3,), orders=4, episodes=10)
    assert intervention_seconds(snapshot, plan) == pytest.approx(START_SECONDS + 3 * 4 * 1 + 3 * 4 * 3 * 0.2)
    further = replace(plan, continue_rounds=5)
    longer = intervention_seconds(snapshot, further) - intervention_seconds(snapshot, plan)
    assert longer == pytest.approx(2 * 5 * 3), "two branches"
    seeds = intervention_seconds(snapshot, replace(further, seeds=2)) - intervention_seconds(snapshot, plan)
    assert seeds == pytest.approx(3 * 2 * 5 * 3 + 3 * 10 * 0.2), "three arms with two seeds, and episodes of each"
    series = Series(rounds=(0, 1, 2), orders=4, episodes=10)
    work = 3 * 4 * 1 + 3 * 4 * 3 * 0.2
    assert series_seconds(snapshot, series) == pytest.approx(START_SECONDS + work * 3 / min(default_workers(), 3))


def test_a_round_that_does_not_say_what_it_took(cartpole: Run) -> None:
    plan = Intervention(round=1, removed=(3,))
    for missing in MADE:
        without = replace(cartpole.snapshot(1), metrics={**MADE, missing: None})
        assert intervention_seconds(without, plan) is None

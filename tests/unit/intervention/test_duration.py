"""How long a removal takes: counted by hand from what the round took."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.executors import default_workers
from engine.intervention.across import Series
from engine.intervention.duration import START_SECONDS, crowding, intervention_seconds, series_seconds
from engine.intervention.plan import Intervention
from engine.store.read import Run

MADE = {"collect_seconds": 2.0, "update_seconds": 1.0, "records": 100, "mean_length": 10.0}
"""A step takes 0.02 s, an episode 0.2 s."""
EPISODE = 0.2


@pytest.fixture(autouse=True)
def _idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing else runs."""
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr("os.cpu_count", default_workers)


def test_counted_by_hand(cartpole: Run) -> None:
    snapshot = replace(cartpole.snapshot(1), metrics=MADE)
    plan = Intervention(round=1, removed=(3,), orders=4, episodes=10)
    work = (3 * 4 + 1) * 1 + 3 * 4 * 3 * EPISODE
    assert intervention_seconds(snapshot, plan) == pytest.approx(START_SECONDS + work)
    further = replace(plan, continue_rounds=5)
    longer = intervention_seconds(snapshot, further) - intervention_seconds(snapshot, plan)
    assert longer == pytest.approx(1 + 2 * 5 * 3), "two branches, one replay more"
    seeds = intervention_seconds(snapshot, replace(further, seeds=2)) - intervention_seconds(snapshot, plan)
    assert seeds == pytest.approx(1 + 3 * 2 * 5 * 3 + 3 * 10 * EPISODE), (
        "three arms with two seeds, and episodes of each"
    )
    series = Series(rounds=(0, 1, 2), orders=4, episodes=10)
    assert series_seconds(snapshot, series) == pytest.approx(START_SECONDS + work * 3 / min(default_workers(), 3))


def test_a_busy_machine_takes_longer(cartpole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = replace(cartpole.snapshot(1), metrics=MADE)
    plan = Intervention(round=1, removed=(3,), orders=4, episodes=10)
    alone = intervention_seconds(snapshot, plan)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("os.getloadavg", lambda: (5.0, 0.0, 0.0))
    assert (crowding(1), crowding(3)) == (6 / 4, 2.0)
    assert intervention_seconds(snapshot, plan) == pytest.approx(1.5 * alone)
    monkeypatch.setattr("os.getloadavg", lambda: (2.9, 0.0, 0.0))
    assert crowding(1) == 1.0, "a core is free"


def test_a_round_that_does_not_say_what_it_took(cartpole: Run) -> None:
    plan = Intervention(round=1, removed=(3,))
    for missing in MADE:
        without = replace(cartpole.snapshot(1), metrics={**MADE, missing: None})
        assert intervention_seconds(without, plan) is None

"""Estimators averaged over minibatch orders: progress, cancelling, and what it will cost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from worlds import moved_snapshot

import engine
from engine.core.effort import Effort
from engine.core.estimators import averaged_over_orders as orders_module
from engine.core.estimators import replay_regression as regression
from engine.core.estimators.averaged_over_orders import attribute, influence_seconds, planned_steps
from engine.core.estimators.registry import ESTIMATORS, PRIOR, replay_regression
from engine.core.estimators.replay_pairs import pair_outcomes
from engine.core.replays.replay import intervene
from engine.core.targets.functions import Target
from engine.core.targets.of_records import return_target
from engine.envs import find
from engine.errors import BadInputError, CancelledError
from engine.kinds.control.kind import ControlKind
from engine.store.read import Run
from engine.store.snapshot import Snapshot

ALONG_THE_UPDATE = ("tracin", "tracin_adam", "replay_gradient")
ANALYTIC = ("first_order", *ALONG_THE_UPDATE)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return moved_snapshot(find("CartPole-v1"), rounds=1, n_steps=100, batch_size=32, n_epochs=3)


@pytest.mark.parametrize("name", ANALYTIC)
def test_the_mean_over_the_replays_orders(snapshot: Snapshot, name: str) -> None:
    target = return_target(snapshot)
    each = [ESTIMATORS[name](intervene(snapshot, (), order=order), target).influence for order in range(3)]
    found, terms, layers, *_ = attribute(snapshot, target, name, orders=3, by_layer=True)
    assert found.dtype == np.float32
    tolerance = 1e-6 * np.abs(found).max()
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=tolerance)
    assert not np.array_equal(each[0], each[1])
    np.testing.assert_allclose(sum(terms.values()), found, atol=tolerance)
    np.testing.assert_allclose(sum(layers.values()), found, atol=tolerance)


def test_one_order_is_the_recorded_one_bit_for_bit(snapshot: Snapshot) -> None:
    target = return_target(snapshot)
    for name in ANALYTIC:
        alone = ESTIMATORS[name](snapshot, target).influence
        np.testing.assert_array_equal(attribute(snapshot, target, name).influence, alone)


@pytest.mark.parametrize("name", ANALYTIC)
def test_progress_goes_from_nothing_to_all(snapshot: Snapshot, name: str) -> None:
    told: list[tuple[int, int]] = []
    engine.influence(snapshot, "return", name, orders=2, on_step=lambda done, total: told.append((done, total)))
    done = [d for d, _ in told]
    assert done[0] == 0
    assert done == sorted(done)
    assert told[-1] == (24, 24)
    assert {total for _, total in told} == {24}
    assert planned_steps(snapshot) == 12


def test_cancelled_midway(snapshot: Snapshot) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise CancelledError("enough")

    with pytest.raises(CancelledError, match="enough"):
        engine.influence(snapshot, "return", "tracin", orders=2, on_step=stop)


@pytest.mark.parametrize(("before", "a_step"), [(0.5, 0.02), (0.5, 0.0)])
def test_the_cost_is_estimated_from_a_few_steps(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, before: float, a_step: float
) -> None:
    """On a clock that only the estimator moves: `before` seconds, and `a_step` for every optimizer step."""
    now = [0.0]
    calls: list[int] = []

    def slow(given: Snapshot, _target: Target, by_layer: bool) -> None:
        assert not by_layer
        calls.append(planned_steps(given))
        now[0] += before + a_step * calls[-1]

    monkeypatch.setattr(orders_module, "ESTIMATORS", {"slow": slow})
    monkeypatch.setattr(orders_module.time, "perf_counter", lambda: now[0])
    long = snapshot.changed(minibatches=np.tile(snapshot.minibatches, (20, 1)))
    assert planned_steps(long) == 240
    assert influence_seconds(long, "slow", orders=3) == pytest.approx(3 * (before + 240 * a_step))
    assert sum(calls) < 30


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_can_be_estimated(snapshot: Snapshot, name: str) -> None:
    assert 0 < influence_seconds(snapshot, name) < np.inf


def test_regression_tells_its_replays(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=6))
    told: list[tuple[int, int]] = []
    engine.influence(snapshot, "return", "replay_regression", on_step=lambda done, total: told.append((done, total)))
    assert told == [(0, 12), (8, 12), (12, 12)]


@pytest.mark.long
def test_regression_averages_what_it_starts_from(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=6))
    target = return_target(snapshot)
    told: list[tuple[int, int]] = []
    found = engine.influence(
        snapshot, "return", "replay_regression", orders=5, on_step=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (12, 12), "its pairs have orders of their own in any case"
    assert (found.estimator, found.orders) == ("replay_regression", 5)
    prior = attribute(snapshot, target, PRIOR, orders=5)
    np.testing.assert_array_equal(found.influence, replay_regression(snapshot, target, prior).influence)
    assert not np.array_equal(found.influence, engine.influence(snapshot, "return", "replay_regression").influence)
    monkeypatch.setattr(regression, "replay_seconds", lambda _: 100.0)
    for orders in (1, 5):
        assert round(influence_seconds(snapshot, "replay_regression", orders=orders), -3) == 1000, "12 replays"


def test_replays_that_are_kept_cost_nothing(cartpole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=6))
    monkeypatch.setattr(regression, "replay_seconds", lambda _: 100.0)
    shutil.copytree(cartpole.path, tmp_path / "run")
    recorded = engine.open_run(tmp_path / "run").snapshot(1)
    target = return_target(recorded)
    assert influence_seconds(recorded, "replay_regression", target) > 1200
    pair_outcomes(recorded, [target])
    assert influence_seconds(recorded, "replay_regression", target) < 100
    assert influence_seconds(recorded, "replay_regression", target, orders=3) < 100


def test_bad_requests(snapshot: Snapshot) -> None:
    for orders in (0, -1):
        with pytest.raises(BadInputError, match=f"orders is {orders}; it must be at least 1"):
            influence_seconds(snapshot, "tracin", orders=orders)
    with pytest.raises(BadInputError, match="unknown estimator 'magic'; there is first_order, tracin"):
        influence_seconds(snapshot, "magic")

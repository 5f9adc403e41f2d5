"""The fit of influence to replays: in linear worlds, and as an estimator like others."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from linear_worlds import N, halves
from worlds import entry, moved_snapshot

import engine
from engine.core.draws import random_removals
from engine.core.effort import Effort
from engine.core.estimators.registry import ESTIMATORS, PRIOR, first_order, record_gradients
from engine.core.estimators.replay_regression import STRENGTHS, fit, fit_to_replays
from engine.core.gradients.inner_products import gradient, inner_products
from engine.core.targets.of_records import return_target
from engine.kinds.control.kind import ControlKind
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.usefixtures("_few_replays_to_fit")
INLINE: dict[str, Any] = {"executor": "inline"}


def test_the_scores_are_those_that_were_measured(snapshot: Snapshot, replayed: list[tuple[str, int]]) -> None:
    settings: dict[str, Any] = {"subsets": 10, "orders": 2, **INLINE}
    found = engine.validate(snapshot, estimators=["replay_regression"], **settings)
    assert list(found.estimators) == ["replay_regression"]
    made = len(replayed)
    scores = engine.influence(snapshot, "return", "replay_regression")
    assert len(replayed) == made
    assert scores.influence.shape == (140,)
    measured_on = random_removals(snapshot, 0.5, 10)
    np.testing.assert_allclose(
        found.estimators["replay_regression"].predicted, -(measured_on @ scores.influence), rtol=1e-4, atol=1e-6
    )


def test_regression_is_an_estimator_like_others(snapshot: Snapshot) -> None:
    scores = engine.influence(snapshot, "return", "replay_regression")
    assert scores.influence.any()
    target = return_target(snapshot)
    prior, gradients = ESTIMATORS[PRIOR](snapshot, target).influence, record_gradients(snapshot, target)
    fitted, _ = fit_to_replays(snapshot, target, gradients, prior)
    missed = inner_products(gradients.policy, gradients.batch, snapshot.config, gradients.direction(fitted.v))
    expected = fitted.alpha * prior + missed.detach().numpy()
    np.testing.assert_allclose(scores.influence, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    filtered = replace(snapshot.without(range(100)), path=None)
    assert not ESTIMATORS["replay_regression"](filtered, return_target(filtered)).influence[:100].any()


def test_replays_in_other_processes_are_the_same(snapshot: Snapshot) -> None:
    """Of a round that is not committed nothing is kept."""
    here, there = (
        engine.influence(snapshot.changed(), "return", "replay_regression", pool=pool)
        for pool in (engine.Pool("inline"), engine.Pool("processes", 2))
    )
    np.testing.assert_array_equal(there.influence, here.influence)


@pytest.mark.parametrize("world", ["IdentityWorld-v0", "FollowWorld-v0"])
def test_summed_gradients_are_those_of_single_records(world: str) -> None:
    """sum_i x_i <v, g_i>, once summed first and once along v first; and along grad f it is `first_order`."""
    snapshot = moved_snapshot(entry(world), n_steps=32, n_epochs=2)
    target = return_target(snapshot)
    gradients = record_gradients(snapshot, target)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 32))
    summed = gradients.summed(x)
    v = rng.normal(size=summed.shape[1])

    def along(v: np.ndarray) -> np.ndarray:
        direction = gradients.direction(v)
        return inner_products(gradients.policy, gradients.batch, snapshot.config, direction).detach().numpy()

    np.testing.assert_allclose(summed @ v, x @ along(v), rtol=1e-4, atol=1e-4)
    direction = gradient(target, gradients.policy)
    flat = np.concatenate([direction[name].numpy().ravel() for name in gradients.names])
    np.testing.assert_allclose(along(flat), first_order(snapshot, target), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kept", [True, False])
def test_the_fits_replays_are_made_once(
    snapshot: Snapshot, replayed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Also of a round that is not committed, whose replays are kept nowhere."""
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=6))
    given = snapshot if kept else replace(snapshot, hash="", path=None)
    told: list[str] = []
    engine.validate(
        given,
        estimators=["tracin", "replay_regression"],
        subsets=4,
        orders=2,
        executor="inline",
        report=lambda doing, done, total: told.append(doing),
    )
    assert len(replayed) == len(set(replayed)) == (1 + 4) * 2 + 6 * 2
    assert "scoring the records by tracin" in told


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def contrasts(rng: np.random.Generator, m: int, n: int = N) -> np.ndarray:
    """(m, n) of random halves and their complements."""
    return halves(rng, m, n) - 0.5


def scores(x: np.ndarray, y: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(n,) influence where every record's gradient is a direction of its own."""
    alpha, v, _ = fit(x, x @ prior, y)
    return alpha * prior + v


def test_regression_finds_the_linear_world_and_keeps_a_prior_that_is_right(rng: np.random.Generator) -> None:
    influence, x = rng.normal(size=N), contrasts(rng, 60)
    with_prior = scores(x, x @ influence + rng.normal(size=60), 5 * influence)
    assert np.corrcoef(with_prior, influence)[0, 1] > 0.98
    assert np.polyfit(influence, with_prior, 1)[0] == pytest.approx(1, abs=0.1), "in units of f, not of the prior"

    many = contrasts(rng, 3 * N)
    found = scores(many, many @ influence, np.zeros(N))
    np.testing.assert_allclose(found, influence - influence.mean(), atol=0.03)


def test_regression_learns_from_few_replays_where_like_records_have_like_influence(rng: np.random.Generator) -> None:
    """Gradients of three numbers: forty pairs say which direction counts."""
    gradients, direction = rng.normal(size=(N, 3)), rng.normal(size=3)
    x = contrasts(rng, 40)
    y = x @ gradients @ direction + rng.normal(size=40)
    v = fit(x @ gradients, np.zeros(40), y).v
    assert np.corrcoef(gradients @ v, gradients @ direction)[0, 1] > 0.98
    assert abs(np.corrcoef(scores(x, y, np.zeros(N)), gradients @ direction)[0, 1]) < 0.8, "without them"


@pytest.mark.parametrize("seed", range(5))
def test_the_prior_comes_back_where_replays_are_noise_to_it(seed: int) -> None:
    """The prior is right, and what is left of the replays is the orders' noise alone, of a thousand like it."""
    rng = np.random.default_rng(seed)
    prior, gradients, x = rng.normal(size=N), rng.normal(size=(N, 50)), contrasts(rng, 128)
    alpha, v, _ = fit(x @ gradients, x @ prior, x @ prior + 5 * rng.normal(size=128))
    assert np.corrcoef(alpha * prior + gradients @ v, prior)[0, 1] > 0.97


def test_ridge_strength_has_the_least_leave_one_out_error(rng: np.random.Generator) -> None:
    """By the formula, and by really leaving out each pair."""
    z = contrasts(rng, 30, 80)
    y = z @ rng.normal(size=80) + 2 * rng.normal(size=30)
    _, chosen, predicted = fit(z, np.zeros(30), y)

    def ridge(z: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
        return z.T @ np.linalg.solve(z @ z.T + strength * np.eye(len(y)), y)

    def left_out(strength: float) -> np.ndarray:
        rest = ~np.eye(len(y), dtype=bool)
        return np.array([z[p] @ ridge(z[rest[p]], y[rest[p]], strength) for p in range(len(y))])

    strengths = STRENGTHS * np.linalg.eigvalsh(z @ z.T).mean()
    best = min(strengths, key=lambda strength: float(np.square(y - left_out(strength)).sum()))
    np.testing.assert_allclose(chosen, ridge(z, y, best), atol=1e-9)
    np.testing.assert_allclose(predicted, left_out(best), atol=1e-9)


def test_regression_improves_on_a_poor_prior_the_more_replays_it_has(rng: np.random.Generator) -> None:
    influence = rng.normal(size=N)
    prior = influence + 1.5 * rng.normal(size=N)
    quality = [np.corrcoef(prior, influence)[0, 1]]
    for m in (50, 400):
        x = contrasts(rng, m)
        quality.append(np.corrcoef(scores(x, x @ influence, prior), influence)[0, 1])
    assert all(later > earlier + 0.01 for earlier, later in pairwise(quality))

"""The fit of influence to replays: in linear worlds, and as an estimator like others."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from linear_worlds import N, halves, linear_world
from worlds import entry, moved_snapshot

import engine
from engine.core.draws import random_removals
from engine.core.effort import Effort
from engine.core.estimators import replay_regression as regression
from engine.core.estimators.registry import ESTIMATORS, PRIOR, first_order, record_gradients
from engine.core.estimators.replay_regression import STRENGTHS, fit, fit_to_replays, masks
from engine.core.gradients.inner_products import gradient, inner_products
from engine.core.targets.of_records import return_target
from engine.kinds.control.kind import ControlKind
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.usefixtures("_few_replays_to_fit")
INLINE: dict[str, Any] = {"executor": "inline"}


def test_regression_is_measured_on_subsets_that_it_was_not_fitted_to(
    snapshot: Snapshot, replayed: list[tuple[str, int]]
) -> None:
    settings: dict[str, Any] = {"subsets": 10, "orders": 2, **INLINE}
    found = engine.validate(snapshot, estimators=["replay_regression"], **settings)
    assert list(found.estimators) == ["replay_regression"]
    measured_on, fitted_to = random_removals(snapshot, 0.5, 10), regression.training_removals(snapshot)
    assert not {row.tobytes() for row in measured_on} & {row.tobytes() for row in fitted_to}
    assert len(replayed) == len(set(replayed)) == (1 + 10 + 12) * 2
    scores = engine.influence(snapshot, "return", "replay_regression")
    assert len(replayed) == 46, "the scores are those that were measured"
    assert scores.influence.shape == (140,)
    np.testing.assert_allclose(
        found.estimators["replay_regression"].predicted, -(measured_on @ scores.influence), rtol=1e-4, atol=1e-6
    )


def test_regression_is_an_estimator_like_others(snapshot: Snapshot) -> None:
    scores = engine.influence(snapshot, "return", "replay_regression")
    assert scores.influence.any()
    target = return_target(snapshot)
    prior, gradients = ESTIMATORS[PRIOR](snapshot, target).influence, record_gradients(snapshot, target)
    fitted = fit_to_replays(snapshot, target, gradients, prior)
    missed = inner_products(gradients.policy, gradients.batch, snapshot.config, gradients.direction(fitted.v))
    expected = fitted.alpha * prior + missed.detach().numpy()
    np.testing.assert_allclose(scores.influence, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    filtered = replace(snapshot.without(range(100)), path=None)
    assert not ESTIMATORS["replay_regression"](filtered, return_target(filtered)).influence[:100].any()


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


def test_averaged_regression_is_fitted_to_as_many_orders(
    snapshot: Snapshot, replayed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(fitted=12))
    engine.validate(snapshot, estimators=["replay_regression"], subsets=4, orders=2, score_orders=4, executor="inline")
    assert len(replayed) == len(set(replayed)) == 4 * 2 + (1 + 12) * 4, "the one with nothing removed serves both"


@pytest.mark.parametrize("kept", [True, False])
def test_the_fits_replays_are_made_once(
    snapshot: Snapshot, replayed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Also of a round that is not committed, whose replays are kept nowhere."""
    monkeypatch.setattr(ControlKind, "effort", Effort(fitted=12))
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
    assert len(replayed) == 4 * 2 + (1 + 12) * 2 + (0 if kept else 2), (
        "the one with nothing removed serves both if kept"
    )
    assert "scoring the records by tracin" in told


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def scores(kept: np.ndarray, y: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(n,) influence where every record's gradient is a direction of its own."""
    x = masks(kept)
    alpha, v = fit(x, x @ prior, y)
    return alpha * prior + v


def test_regression_finds_the_linear_world_and_keeps_a_prior_that_is_right(rng: np.random.Generator) -> None:
    influence, kept, outcomes = linear_world(rng, noise=1.0)
    effects = (outcomes - outcomes[:1]).mean(axis=1)
    with_prior = scores(kept, effects, 5 * influence)
    assert np.corrcoef(with_prior, influence)[0, 1] > 0.98
    assert np.polyfit(influence, with_prior, 1)[0] == pytest.approx(1, abs=0.1), "in units of f, not of the prior"

    many = halves(rng, 3 * N)
    found = scores(many, many @ influence, np.zeros(N))
    np.testing.assert_allclose(found, influence - influence.mean(), atol=0.03)


def test_regression_learns_from_few_replays_where_like_records_have_like_influence(rng: np.random.Generator) -> None:
    """Gradients of three numbers: forty subsets say which direction counts."""
    gradients, direction = rng.normal(size=(N, 3)), rng.normal(size=3)
    kept = halves(rng, 40)
    y = kept @ gradients @ direction + rng.normal(size=40)
    z = masks(kept) @ gradients
    v = fit(z, np.zeros(40), y).v
    assert np.corrcoef(gradients @ v, gradients @ direction)[0, 1] > 0.98
    assert abs(np.corrcoef(scores(kept, y, np.zeros(N)), gradients @ direction)[0, 1]) < 0.8, "without them"


def test_ridge_strength_has_the_least_leave_one_out_error(rng: np.random.Generator) -> None:
    """By the formula, and by really leaving out each subset."""
    z = masks(halves(rng, 30, 80))
    y = z @ rng.normal(size=80) + 2 * rng.normal(size=30)
    chosen = fit(z, np.zeros(30), y).v

    def ridge(z: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
        centred = z - z.mean(axis=0)
        return centred.T @ np.linalg.solve(centred @ centred.T + strength * np.eye(len(y)), y - y.mean())

    def left_out(strength: float) -> float:
        errors = []
        for m in range(len(y)):
            rest = np.arange(len(y)) != m
            v = ridge(z[rest], y[rest], strength)
            errors.append(y[m] - y[rest].mean() - (z[m] - z[rest].mean(axis=0)) @ v)
        return float(np.square(errors).sum())

    centred = z - z.mean(axis=0)
    strengths = STRENGTHS * np.linalg.eigvalsh(centred @ centred.T).mean()
    best = min(strengths, key=left_out)
    np.testing.assert_allclose(chosen, ridge(z, y, best), atol=1e-9)


def test_regression_improves_on_a_poor_prior_the_more_replays_it_has(rng: np.random.Generator) -> None:
    influence = rng.normal(size=N)
    prior = influence + 1.5 * rng.normal(size=N)
    quality = [np.corrcoef(prior, influence)[0, 1]]
    for m in (50, 400):
        kept = halves(rng, m)
        quality.append(np.corrcoef(scores(kept, kept @ influence, prior), influence)[0, 1])
    assert all(later > earlier + 0.01 for earlier, later in pairwise(quality))


def test_masks_sum_to_zero_and_leave_out_records_that_no_subset_kept(rng: np.random.Generator) -> None:
    kept = halves(rng)
    np.testing.assert_allclose(masks(kept).sum(axis=1), 0, atol=1e-9)
    kept[:, :7] = False
    assert not masks(kept)[:, :7].any()
    assert masks(kept)[:, 7:].all()

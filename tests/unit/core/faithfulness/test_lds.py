"""The statistics of a validation on worlds whose answer is known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import spearmanr

from engine.core.estimators.replay_regression import STRENGTHS, fit, masks
from engine.core.faithfulness.lds import additivity, lds, metasmoothness, noise_ceiling, rank_agreement, spearman

M, N, Q = 60, 200, 8


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def halves(rng: np.random.Generator, m: int = M, n: int = N) -> np.ndarray:
    """(m, n) masks that keep half."""
    return np.array([rng.permutation(n) < n // 2 for _ in range(m)])


def linear_world(rng: np.random.Generator, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Influence, masks and outcomes where f is the sum of the kept records' influence, an order's own shift, and noise."""
    influence, kept = rng.normal(size=N), halves(rng)
    outcomes = (kept @ influence)[:, None] + 100 * rng.normal(size=Q) + noise * rng.normal(size=(M, Q))
    return influence, kept, outcomes


def test_lds_of_an_exactly_linear_world_is_one(rng: np.random.Generator) -> None:
    influence, kept, outcomes = linear_world(rng)
    assert lds(influence, kept, outcomes, rng) == pytest.approx((1, 1, 1))
    assert lds(-influence, kept, outcomes, rng).value == pytest.approx(-1), "the sign is part of the answer"
    assert lds(7 * influence + 3, kept, outcomes, rng).value == pytest.approx(1), "unit and origin are not"


def test_lds_of_shuffled_scores_is_about_zero(rng: np.random.Generator) -> None:
    influence, kept, outcomes = linear_world(rng)
    found = [lds(rng.permutation(influence), kept, outcomes, rng) for _ in range(20)]
    assert abs(np.mean([each.value for each in found])) < 0.1
    assert sum(each.low <= 0 <= each.high for each in found) >= 16


def test_lds_of_equal_scores_is_not_defined(rng: np.random.Generator) -> None:
    _, kept, outcomes = linear_world(rng)
    assert all(map(math.isnan, lds(np.zeros(N), kept, outcomes, rng)))


def test_more_subsets_narrow_the_interval(rng: np.random.Generator) -> None:
    widths = []
    for m in (20, 500):
        x = rng.normal(size=m)
        found = rank_agreement(x, x + rng.normal(size=m), rng)
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 3


def test_spearman_is_scipys(rng: np.random.Generator) -> None:
    x, y = rng.integers(5, size=(2, 3, 30))
    expected = [spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(spearman(x, y), expected, rtol=1e-12)
    assert spearman([1, 2, 9], [0, 5, 6]) == pytest.approx(1)


def test_ceiling_without_noise_is_one(rng: np.random.Generator) -> None:
    for orders in (2, 3, 16):
        outcomes = rng.normal(size=M)[:, None] + rng.normal(size=orders)
        assert noise_ceiling(outcomes, rng) == pytest.approx((1, 1, 1))


@pytest.mark.long
def test_ceiling_of_pure_noise_is_about_zero(rng: np.random.Generator) -> None:
    found = [noise_ceiling(rng.normal(size=(M, Q)), rng) for _ in range(20)]
    assert abs(np.mean([each.value for each in found if each])) < 0.12


@pytest.mark.long
def test_ceiling_is_what_a_second_measurement_would_score(rng: np.random.Generator) -> None:
    """As much noise in the mean of 8 orders as signal: two such measurements correlate by one half."""
    ceilings, seconds = [], []
    for _ in range(8):
        effect = rng.normal(size=(200, 1))
        first, second = (effect + math.sqrt(Q) * rng.normal(size=(200, Q)) for _ in range(2))
        ceiling = noise_ceiling(first, rng)
        assert ceiling is not None
        ceilings.append(ceiling.value)
        seconds.append(float(spearman(first.mean(axis=1), second.mean(axis=1))))
    assert np.mean(ceilings) == pytest.approx(np.mean(seconds), abs=0.05)
    assert np.mean(ceilings) == pytest.approx(0.48, abs=0.05)


def test_ceiling_needs_two_orders(rng: np.random.Generator) -> None:
    assert noise_ceiling(rng.normal(size=(M, 1)), rng) is None


def test_additivity_is_the_least_squares_line(rng: np.random.Generator) -> None:
    x = rng.normal(size=50)
    assert additivity(x, 3 * x + 2) == pytest.approx((3, 2, 1))
    y = rng.normal(size=50)
    slope, intercept = np.polyfit(x, y, 1)
    assert additivity(x, y) == pytest.approx((slope, intercept, np.corrcoef(x, y)[0, 1] ** 2))
    assert math.isnan(additivity(np.zeros(5), y[:5]).r2)


def test_metasmoothness_by_hand() -> None:
    """The first parameter goes on by 1 + 1, the second turns back: 1 + 0.5 of a movement of 3.5 in all."""
    assert metasmoothness([0, 0], [1, 1], [2, 0.5]) == pytest.approx((2 - 1.5) / 3.5)
    assert metasmoothness([0, 5], [1, 5], [2, 5]) == 1
    assert metasmoothness([0.0], [1], [0]) == -1
    assert math.isnan(metasmoothness([3], [3], [3]))


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

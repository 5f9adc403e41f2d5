"""The statistics of a validation on worlds whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from linear_worlds import M, N, Q, linear_world
from scipy.stats import spearmanr

from engine.core.faithfulness.lds import additivity, lds, metasmoothness, noise_ceiling, rank_agreement, spearman


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


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

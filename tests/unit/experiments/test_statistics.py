"""Interquartile means, intervals and probabilities of improvement, by hand and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.experiments.statistics import (
    improvement,
    iqm,
    iqm_difference,
    iqm_interval,
    normalizer,
    symmetric_efficiency,
)
from engine.intervals import Interval


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[0, 1, 2, 9]], 1.5),
        ([[0, 1, 2, 3, 9]], 2),  # one of five goes at either end
        ([[7]], 7),
        ([[1, 2]], 1.5),
        ([[0, 9], [1, 2]], 1.5),  # environments are pooled
    ],
)
def test_iqm_by_hand(scores: list[list[float]], expected: float) -> None:
    assert iqm(scores) == expected


def test_the_interval_agrees_with_scipys_bootstrap() -> None:
    scores = rng().normal(3, 2, 12)
    ours = iqm_interval([scores], rng(), 20_000)
    theirs = stats.bootstrap(
        (scores,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours.value == pytest.approx(stats.trim_mean(scores, 0.25))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.06)


def test_resamples_stay_within_their_environment() -> None:
    """Two environments without any spread: mixing them would give one."""
    assert iqm_interval([[1, 1, 1], [5, 5, 5]], rng()) == Interval(3, 3, 3)


def test_equal_seeds_give_equal_intervals() -> None:
    scores = [[1.0, 4.0, 2.0, 8.0, 5.0]]
    assert iqm_interval(scores, rng()) == iqm_interval(scores, rng())


def test_a_clear_difference_excludes_zero_and_noise_does_not() -> None:
    low, high = [[1, 2, 3, 2, 1]], [[11, 12, 13, 12, 11]]
    found = iqm_difference(high, low, rng())
    assert found.value == 10
    assert 8 <= found.low <= 10 <= found.high <= 12
    assert found.low > 0
    same = iqm_difference(low, low, rng())
    assert same.low < 0 < same.high
    assert iqm_difference(low, low, rng()).value == 0


def test_probability_of_improvement_by_hand() -> None:
    assert improvement([[1, 3]], [[1, 2]], rng()).value == 0.625  # 3 wins twice, 1 is tied with 1 and loses to 2
    assert improvement([[5, 6]], [[1, 2]], rng()) == Interval(1, 1, 1)
    assert improvement([[1, 1]], [[1, 1]], rng()) == Interval(0.5, 0.5, 0.5)
    assert improvement([[5, 6], [1, 1]], [[1, 2], [1, 1]], rng()).value == 0.75  # the mean over environments


def test_probability_of_improvement_is_mann_whitneys() -> None:
    x, y = rng().integers(0, 6, 9), np.random.default_rng(1).integers(0, 6, 7)
    found = improvement([x], [y], rng())
    assert found.value == pytest.approx(stats.mannwhitneyu(x, y).statistic / (9 * 7))
    assert found.low < found.value < found.high


def test_symmetric_efficiency_is_over_pairs_then_environments_and_resamples_both_arms() -> None:
    half = np.full((3, 2), np.log(0.5))
    assert symmetric_efficiency([half], rng()) == Interval(0.5, 0.5, 0.5)
    assert symmetric_efficiency([half, np.zeros((4, 4))], rng()).value == pytest.approx(1 - np.sqrt(0.5))
    assert np.isnan(symmetric_efficiency([half[:, :1]], rng()).low), "one seed has no interval"
    rows, columns = np.array([[-1.0], [1.0]]), np.array([[-1.0, 1.0]])
    for pairs in (np.broadcast_to(rows, (2, 2)), np.broadcast_to(columns, (2, 2))):
        found = symmetric_efficiency([pairs], rng())
        assert (found.low, found.high) == pytest.approx((1 - np.e, 1 - 1 / np.e)), "either arm's seeds are drawn"


def test_normalising_puts_ppos_curves_between_zero_and_one() -> None:
    normalize = normalizer([[-500, -300], [np.nan, -100]])
    assert normalize([-500, -100, -300, 300]).tolist() == [0, 1, 0.5, 2]
    assert normalizer([7, 7])([7, 8]).tolist() == [0, 1]


def test_no_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        iqm([[1.0], []])


def test_one_seed_has_no_interval():
    found = iqm_difference([[3.0]], [[1.0, 2.0]], np.random.default_rng(0))
    assert found.value == pytest.approx(1.5)
    assert np.isnan([found.low, found.high]).all()

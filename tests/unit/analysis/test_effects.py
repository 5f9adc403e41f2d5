"""Effect sizes and rank correlations, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from engine.analysis.effects import cliffs_delta, rank_correlation


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_cliffs_delta_counts_pairs() -> None:
    """Too few for an interval, not for the number."""
    group = np.array([True, True, False, False, False])
    assert cliffs_delta([3, 4, 1, 2, 3], group, np.arange(5)).value == pytest.approx(5 / 6)
    assert cliffs_delta([1, 2, 1, 2, 3], group, np.arange(5)).value == pytest.approx((1 - 3) / 6)
    assert cliffs_delta([2, 2, 2, 2, 2], group, np.arange(5)).value == 0


def test_of_yes_and_no_it_is_the_difference_of_the_shares() -> None:
    values, group = np.zeros(50), np.arange(50) < 10
    values[[0, 1, 2, 3, 4, 5, 6, 20, 21]] = 1
    found = cliffs_delta(values, group, np.arange(50))
    assert found.value == pytest.approx(7 / 10 - 2 / 40)
    assert found.low > 0


def test_its_error_is_that_of_a_difference_of_shares() -> None:
    """Independent records: the textbook standard error of p - q."""
    n, m = 400, 600
    values = np.r_[np.arange(n) < 240, np.arange(m) < 300].astype(float)
    found = cliffs_delta(values, np.arange(n + m) < n, np.arange(n + m))
    error = math.sqrt(0.6 * 0.4 / n + 0.5 * 0.5 / m)
    assert found.value == pytest.approx(0.1)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.02)


def test_records_of_an_episode_do_not_count_as_independent() -> None:
    """Every number ten times over is no more evidence than once, and more comparisons ask for wider intervals."""
    values = rng().normal(size=60) + (np.arange(60) < 30)
    once = cliffs_delta(values, np.arange(60) < 30, np.arange(60))
    many = np.repeat(np.arange(60), 10)
    assert cliffs_delta(values[many], many < 30, many) == pytest.approx(once, abs=1e-9)
    alone = cliffs_delta(values[many], many < 30, np.arange(600))
    assert alone.high - alone.low < (once.high - once.low) / 2
    stricter = cliffs_delta(values, np.arange(60) < 30, np.arange(60), comparisons=40)
    assert stricter.low < once.low < once.value < once.high < stricter.high


def test_its_interval_covers_what_it_should() -> None:
    draws, inside = np.random.default_rng(4), 0
    for _ in range(300):
        episode = np.repeat(np.arange(30), 4)
        values = draws.normal(size=30)[episode] + draws.normal(size=120)
        found = cliffs_delta(values, episode < 12, episode)
        inside += found.low <= 0 <= found.high
    assert 0.92 <= inside / 300 <= 0.98


def test_groups_that_are_wholly_apart_still_leave_doubt() -> None:
    """Five of five: at least 0.025 ** (1 / 5) = 48 % of the pairs are won, with 97.5 % confidence."""
    found = cliffs_delta(np.arange(10), np.arange(10) >= 5, np.arange(10))
    assert found == pytest.approx((1, 2 * 0.025 ** (1 / 5) - 1, 1))
    assert cliffs_delta(np.arange(10), np.arange(10) < 5, np.arange(10)).value == -1


def test_a_group_without_any_still_leaves_doubt() -> None:
    """None of 20 against 3 of 200 is no evidence (Fisher's exact test: p = 1); against 150 of 200 it is."""
    group = np.arange(220) < 20
    few, many = (
        cliffs_delta((np.arange(220) >= 20) & (np.arange(220) < 20 + k), group, np.arange(220)) for k in (3, 150)
    )
    assert few.value == pytest.approx(-3 / 200)
    assert few.low < 0 < few.high
    assert many.high < -0.5


def test_what_can_not_be_compared_is_not_a_number() -> None:
    assert math.isnan(cliffs_delta([1, 2], np.array([True, True]), [0, 1]).value)
    one_episode = cliffs_delta(np.arange(40) % 7, np.arange(40) < 4, np.arange(40) // 4)
    assert math.isnan(one_episode.low), "all of the group is from one episode"
    assert not math.isnan(one_episode.value)
    assert math.isnan(rank_correlation(np.arange(9), np.arange(9), np.arange(9) // 3, rng()).low)
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3], [0, 1, 2], rng()).value)
    assert math.isnan(rank_correlation([], [], [], rng()).value)


def test_rank_correlation_is_spearmans() -> None:
    x, y = rng().integers(0, 9, 80), rng().normal(size=80)
    y[:40] += x[:40]
    found = rank_correlation(x, y, np.arange(80), rng())
    assert found.value == pytest.approx(spearmanr(x, y)[0])
    assert found.low < found.value < found.high
    fisher = math.tanh(math.atanh(found.value) - 1.96 / math.sqrt(77))
    assert found.low == pytest.approx(fisher, abs=0.08)
    assert rank_correlation([1, 2, 9], [0, 5, 6], [0, 1, 2], rng()).value == pytest.approx(1)
    few = rank_correlation(x, y, np.arange(80) // 10, rng())
    assert few.high - few.low != found.high - found.low, "episodes are drawn, not records"

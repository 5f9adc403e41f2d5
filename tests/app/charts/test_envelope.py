"""Envelopes of long series: nothing that was measured lies outside of one, and every series has the same columns."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts.envelope import COLUMNS, column_edges, envelope


@pytest.mark.parametrize("n", [1, 2, COLUMNS, COLUMNS + 1, 10_000])
@pytest.mark.parametrize("first", [0, 7312])
def test_each_column_is_the_least_the_mean_and_the_most_of_its_rounds(n: int, first: int) -> None:
    rng = np.random.default_rng(n)
    rounds, values = np.arange(first, first + n), rng.normal(size=n)
    values[rng.random(n) < 0.2] = np.nan
    edges = column_edges(rounds)
    assert len(edges) == min(n, COLUMNS)
    found = envelope(rounds, values, edges)
    for i in range(len(found)):
        inside = values[(rounds >= found.first[i]) & (rounds <= found.last[i])]
        low, mean, high = np.nanmin(inside), np.nanmean(inside), np.nanmax(inside)
        assert (found.low[i], found.high[i]) == (low, high)
        assert found.mean[i] == pytest.approx(mean)
    covered = {k for a, b in zip(found.first, found.last, strict=True) for k in range(a, b + 1)}
    assert {*rounds[~np.isnan(values)].tolist()} <= covered
    assert (np.diff(found.at) > 0).all()


def test_an_extreme_of_a_single_round_is_seen_however_many_rounds_there_are() -> None:
    rounds, values = np.arange(10_000), np.zeros(10_000)
    values[[1234, 9999]] = -50.0, 80.0
    found = envelope(rounds, values, column_edges(rounds))
    assert (found.low.min(), found.high.max()) == (-50.0, 80.0)
    assert (found.first[found.low.argmin()] <= 1234) & (found.last[found.low.argmin()] >= 1234)
    assert found.last[-1] == 9999


def test_series_with_other_gaps_are_drawn_at_the_same_places() -> None:
    """One cursor reads them all."""
    rounds, rng = np.arange(5_000), np.random.default_rng(0)
    edges = column_edges(rounds)
    every = envelope(rounds, np.ones(5_000), edges)
    some = envelope(rounds, np.where(rng.random(5_000) < 0.05, 1.0, np.nan), edges)
    assert 0 < len(some) < len(every)
    assert np.isin(some.at, every.at).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_left_out(value: float) -> None:
    rounds = np.arange(1_000)
    assert len(envelope(rounds, np.full(1_000, value), column_edges(rounds))) == 0


def test_huge_numbers_keep_the_mean_between_the_ends() -> None:
    rounds = np.arange(2_000)
    found = envelope(rounds, np.full(2_000, 1e308), column_edges(rounds))
    assert (found.mean == 1e308).all()

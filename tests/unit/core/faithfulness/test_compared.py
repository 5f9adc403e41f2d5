"""Two estimators' rankings compared, in worlds where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.core.faithfulness.compared import compare_rankings, ranks
from engine.core.gradients.attribution import top_and_bottom
from engine.errors import BadInputError

A = np.array([5, 4, 3, 2, 1, -1, -2, -3, -4, -5], np.float32)


def test_the_same_ranking_agrees_in_everything() -> None:
    found = compare_rankings(A, A * 7, 3)
    assert found.spearman == pytest.approx(1)
    assert (found.top.shared, found.top.of, found.bottom.shared, found.same_sign) == (3, 3, 3, 1)
    assert found.top.by_chance == pytest.approx(0.9)


def test_the_reverse_shares_nothing() -> None:
    found = compare_rankings(A, -A, 4)
    assert found.spearman == pytest.approx(-1)
    assert (found.top.shared, found.bottom.shared, found.same_sign) == (0, 0, 0)


def test_tops_may_agree_where_bottoms_do_not() -> None:
    other = A.copy()
    other[5:] = other[5:][::-1]
    found = compare_rankings(A, other, 2)
    assert (found.top.shared, found.bottom.shared) == (2, 0)


def test_only_records_on_that_side_count() -> None:
    """Of two positive records no five can be among the top."""
    few = np.where(np.arange(10) < 2, 1, -1).astype(np.float32) * np.arange(1, 11)
    found = compare_rankings(A, few, 5)
    assert (found.top.of, found.top.shared) == (2, 2)
    assert compare_rankings(A, -np.abs(A), 3).top.of == 0


def test_a_constant_side_has_no_correlation() -> None:
    assert math.isnan(compare_rankings(A, np.ones(10, np.float32), 3).spearman)


def test_ranks_are_those_of_the_tables() -> None:
    influence = np.array([1, 3, 3, -2, 0, -2], np.float32)
    found = ranks(influence)
    assert found.tolist() == [3, 1, 2, 5, 4, 6]
    top, bottom = top_and_bottom(influence, 2)
    assert set(top) == set(np.flatnonzero(found <= 2))
    assert set(bottom) == set(np.flatnonzero(found > 4))


def test_bad_comparisons_are_refused() -> None:
    with pytest.raises(BadInputError, match="10 and 9 records"):
        compare_rankings(A, A[1:], 3)
    with pytest.raises(BadInputError, match="k is 0"):
        compare_rankings(A, A, 0)

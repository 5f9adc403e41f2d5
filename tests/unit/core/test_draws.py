"""Which records are removed: at random, and from the ends of a ranking."""

from __future__ import annotations

import numpy as np
import pytest

from engine.core.draws import extreme_removals, random_removals, subsets
from engine.errors import BadInputError
from engine.store.snapshot import Snapshot


def test_subsets_have_their_size_and_begin_as_shorter_lists_do() -> None:
    few, many = (subsets(np.random.default_rng(0), 50, 0.3, m) for m in (4, 9))
    assert many.shape == (9, 50)
    assert (many.sum(axis=1) == 15).all()
    assert np.array_equal(many[:4], few)
    assert len({row.tobytes() for row in many}) == 9


def test_subsets_come_from_the_records_that_were_trained_on(snapshot: Snapshot) -> None:
    filtered = snapshot.without(range(100))
    removed = random_removals(filtered, 0.5, 12)
    assert not removed[:, :100].any()
    assert (removed.sum(axis=1) == 20).all()


def test_extremes_go_from_the_few_best_and_worst_to_the_fraction(snapshot: Snapshot) -> None:
    influence = np.random.default_rng(0).normal(size=140)
    removed = extreme_removals(snapshot, influence, 0.2, 8)
    order = np.argsort(-influence)
    for row, (end, k) in zip(removed, [(e, k) for k in (7, 14, 21, 28) for e in ("top", "bottom")], strict=True):
        assert set(np.flatnonzero(row)) == set(order[:k] if end == "top" else order[-k:])
    with pytest.raises(BadInputError, match="ask for at most 56 subsets"):
        extreme_removals(snapshot, influence, 0.2, 58)

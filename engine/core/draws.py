"""Which records to remove: random subsets, the extremes of a ranking, and a control's draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInputError
from engine.store.snapshot import Snapshot

Bools = NDArray[np.bool_]
VALIDATION_SEED, TRAINING_SEED = 3, 4
"""Name two lists of subsets among what a run's seed draws: to measure estimators on, and to fit one to."""
FIRST_PAIRED_ORDER = 2**20
"""The minibatch orders from here on are those that `replay_regression` is fitted to; whatever is measured uses those below."""
FIRST_ORDER_AGAIN = 2**21
"""The first few orders from here on are those in which some of its halves are replayed once more."""


def subsets(rng: np.random.Generator, n: int, fraction: float, m: int) -> Bools:
    """Random subsets of round(fraction * n) of n records, m of them: (m, n), True where the record is to be removed.

    The first subsets of a longer list are those of a shorter one.

    Raises:
        BadInputError: the fraction is not between 0 and 1, a subset would be empty or everything, or there are not m
            different ones.
    """
    k = removed_count(n, fraction)
    if math.comb(n, k) < m:
        raise BadInputError(
            f"there are only {math.comb(n, k)} subsets of {k} of {n} records; ask for no more than that"
        )
    removed = np.zeros((m, n), bool)
    for row in removed:
        row[rng.permutation(n)[:k]] = True
    return removed


def removed_count(n: int, fraction: float) -> int:
    """How many of n records a subset removes; errors as `subsets`."""
    if not 0 < fraction < 1:
        raise BadInputError(f"fraction is {fraction:g}; it must be above 0 and below 1, such as 0.5")
    k = round(fraction * n)
    if not 0 < k < n:
        nothing = "none" if k == 0 else "all"
        raise BadInputError(f"a fraction of {fraction:g} removes {nothing} of {n} records; choose one from {1 / n:.2g}")
    return k


def random_removals(snapshot: Snapshot, fraction: float, m: int, seed: int = VALIDATION_SEED) -> Bools:
    """(m, n) random subsets of the records that the round's update used; errors as `subsets`."""
    kept = np.flatnonzero(snapshot.buffer.kept)
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, seed])
    removed = np.zeros((m, len(snapshot.buffer)), bool)
    removed[:, kept] = subsets(rng, len(kept), fraction, m)
    return removed


def extreme_removals(snapshot: Snapshot, influence: NDArray[np.floating], fraction: float, m: int) -> Bools:
    """(m, n): leave out the k most helpful records, and the k most harmful ones, for m / 2 sizes k up to the fraction.

    Rows alternate between top and bottom, from small to large.

    Raises:
        BadInputError: as `subsets`, or there are not so many sizes.
    """
    kept = np.flatnonzero(snapshot.buffer.kept)
    largest, sizes = removed_count(len(kept), fraction), (m + 1) // 2
    if sizes > largest:
        raise BadInputError(
            f"{m} subsets of the extremes need {sizes} sizes, and a fraction of {fraction:g} of {len(kept)} records has "
            f"only {largest}; ask for at most {2 * largest} subsets"
        )
    best_first = kept[np.argsort(-influence[kept], kind="stable")]
    removed = np.zeros((m, len(snapshot.buffer)), bool)
    for i, row in enumerate(removed):
        k = round(largest * (i // 2 + 1) / sizes)
        row[best_first[:k] if i % 2 == 0 else best_first[-k:]] = True
    return removed


def one_of_many(snapshot: Snapshot, removed: Any, order: int = 0) -> NDArray[np.int64]:
    """As many random records of the update as `removed` takes from it: a control's draw for one minibatch order."""
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, order, len(removed)])
    kept = snapshot.buffer.kept
    removes = np.count_nonzero(kept[list(removed)])
    return np.sort(rng.choice(np.flatnonzero(kept), removes, replace=False))

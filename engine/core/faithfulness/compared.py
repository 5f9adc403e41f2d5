"""How far two rankings of the same records agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.core.faithfulness.lds import spearman
from engine.core.gradients.attribution import top_and_bottom
from engine.errors import BadInputError
from engine.store.snapshot import Float32s


@dataclass(frozen=True)
class Overlap:
    """Records that are in both of two lists."""

    shared: int
    of: int
    """Length of the shorter list: as many could be shared."""
    by_chance: float
    """How many lists of these lengths share on average if they have nothing to do with each other."""


@dataclass(frozen=True)
class RankAgreement:
    """Two rankings compared."""

    spearman: float
    """Rank correlation: 1 for the same order, 0 for unrelated ones, -1 for the reverse; NaN where a side is constant."""
    top: Overlap
    """Of the k records that raised the target most."""
    bottom: Overlap
    """Of the k that lowered it most."""
    same_sign: float
    """Share of the records that both say raised, or both say lowered, the target."""


def compare_rankings(a: Float32s, b: Float32s, k: int) -> RankAgreement:
    """Compare two estimators' influence, (n,) each.

    [3, 1, -2] and [2, 4, -1] with k = 1: the tops differ, the bottoms are the same record.

    Raises:
        BadInputError: they are not about the same records, or k is less than 1.
    """
    if len(a) != len(b):
        raise BadInputError(f"{len(a)} and {len(b)} records can't be compared; both must be of one round")
    if k < 1:
        raise BadInputError(f"k is {k}; it must be at least 1")
    (top_a, bottom_a), (top_b, bottom_b) = top_and_bottom(a, k), top_and_bottom(b, k)
    return RankAgreement(
        spearman=float(spearman(a, b)),
        top=_overlap(top_a, top_b, len(a)),
        bottom=_overlap(bottom_a, bottom_b, len(a)),
        same_sign=float((np.sign(a) == np.sign(b)).mean()),
    )


def _overlap(a: NDArray[np.int64], b: NDArray[np.int64], n: int) -> Overlap:
    return Overlap(len(np.intersect1d(a, b)), min(len(a), len(b)), len(a) * len(b) / n)


def ranks(influence: Float32s) -> NDArray[np.int64]:
    """(n,) 1 for the record that raised the target most, n for the one that lowered it most; ties by record number.

    The k top records are those with ranks up to k, the k bottom ones those above n - k, as far as their sign allows it.
    """
    found = np.empty(len(influence), np.int64)
    found[np.argsort(-influence, kind="stable")] = np.arange(1, len(influence) + 1)
    return found

"""How well predicted effects of removing records agree with real ones. Pure functions of arrays.

M subsets of the n records are removed, each in Q minibatch orders; f is the target after the update.

| symbol | shape | |
|---|---|---|
| influence | (n,) | I > 0 raised f |
| kept | (M, n) | True where the record took part |
| outcomes | (M, Q) | f after the update |

An order raises or lowers f of all subsets alike; ranks over subsets of the same orders don't feel it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.core.blocks import blocks
from engine.intervals import Interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

RESAMPLES = 1000
SPLITS = 16
"""Random ways in which the orders are split into halves."""


def spearman(x: ArrayLike, y: ArrayLike) -> Floats:
    """Rank correlation over the last axis, ties by their mean rank: (..., M) and (..., M) -> (...).

    [1, 2, 9] and [0, 5, 6] -> 1. NaN where all values of a side are equal.
    """
    a, b = _centred_ranks(x), _centred_ranks(y)
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.divide((a * b).sum(axis=-1), scale, out=np.full(scale.shape, math.nan), where=scale > 0)


def _centred_ranks(values: ArrayLike) -> Floats:
    from scipy import stats

    ranks = np.asarray(stats.rankdata(values, axis=-1), np.float64)
    return ranks - ranks.mean(axis=-1, keepdims=True)


def lds(influence: ArrayLike, kept: Bools, outcomes: ArrayLike, rng: np.random.Generator) -> Interval:
    """Linear datamodelling score: Spearman over subsets of the summed influence of what is kept against the mean outcome.

    Park et al. 2023, "TRAK", definition 2.3; here the outcome of a subset is its mean over minibatch orders.

    Args:
        influence: (n,) of each record.
        kept: (M, n).
        outcomes: (M, Q).
        rng: draws the bootstrap resamples.
    """
    return rank_agreement(summed(kept, influence), np.asarray(outcomes, np.float64).mean(axis=1), rng)


def summed(chosen: Bools, influence: ArrayLike) -> Floats:
    """Influence summed over what each subset has, (M, n) and (n,) -> (M,); no (M, n) floats are ever there together."""
    values, sums = np.asarray(influence, np.float64), np.zeros(len(chosen))
    for rows in blocks(len(values)):
        sums += chosen[:, rows] @ values[rows]
    return sums


def rank_agreement(predicted: ArrayLike, actual: ArrayLike, rng: np.random.Generator) -> Interval:
    """Spearman of (M,) predicted against (M,) actual effects, with its interval."""
    x, y = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    drawn = rng.integers(len(y), size=(RESAMPLES, len(y)))
    return Interval.of_resamples(float(spearman(x, y)), spearman(x[drawn], y[drawn]))


def effects(outcomes: Floats) -> Floats:
    """(1 + M, Q) -> (M,) change of f against the whole buffer, the first row, in the same order, averaged over the orders."""
    return (outcomes[1:] - outcomes[0]).mean(axis=1)


def noise_ceiling(outcomes: ArrayLike, rng: np.random.Generator) -> Interval | None:
    """Split-half reliability of the mean outcomes over orders: how well other orders would predict them.

    The orders are split into two halves, r is the Spearman correlation over subsets of the halves' means, averaged over
    random splits, and the Spearman-Brown formula k r / (1 + (k - 1) r), k = Q / (Q // 2), takes it to all Q orders. It
    is what a second measurement with as many orders would score; a prediction without any noise of its own could reach
    its square root.

    Args:
        outcomes: (M, Q).
        rng: draws the splits and the bootstrap resamples.

    Returns:
        1 without noise, about 0 where only the order matters; None for a single order.
    """
    values = np.asarray(outcomes, np.float64)
    m, q = values.shape
    half = q // 2
    if half < 1:
        return None
    splits = [rng.permutation(q) for _ in range(SPLITS)]
    halves = [
        (values[:, split[:half]].mean(axis=1), values[:, split[half : 2 * half]].mean(axis=1)) for split in splits
    ]
    drawn = rng.integers(m, size=(RESAMPLES, m))
    r = np.mean([spearman(a, b) for a, b in halves])
    resampled = np.mean([spearman(a[drawn], b[drawn]) for a, b in halves], axis=0)
    return Interval.of_resamples(float(_spearman_brown(r, q / half)), _spearman_brown(resampled, q / half))


def _spearman_brown(r: ArrayLike, k: float) -> Floats:
    """Reliability of k times as many orders; a correlation below 0 is noise and stays what it is."""
    half = np.asarray(r, np.float64)
    return np.where(half > 0, k * half / (1 + (k - 1) * np.maximum(half, 0)), half)


class Line(NamedTuple):
    """actual = intercept + slope * predicted, by least squares."""

    slope: float
    intercept: float
    r2: float


def additivity(predicted: ArrayLike, actual: ArrayLike) -> Line:
    """Do effects add up? The line through a group's actual effect over the sum of its records' predicted ones.

    Where removal is additive and the scores are right up to their unit, `r2` is 1 but for the noise of the orders; 1 - r2
    is the additivity gap. The slope is how much f moves per unit of summed influence.

    Args:
        predicted: (M,) sums of influence.
        actual: (M,) changes of f.

    Returns:
        The line; slope 0 and r2 NaN where all predictions or all effects are equal.
    """
    x, y = (np.asarray(values, np.float64) for values in (predicted, actual))
    dx, dy = x - x.mean(), y - y.mean()
    xx, xy, yy = float(dx @ dx), float(dx @ dy), float(dy @ dy)
    if xx == 0 or yy == 0:
        return Line(0.0, float(y.mean()), math.nan)
    return Line(xy / xx, float(y.mean() - xy / xx * x.mean()), xy * xy / (xx * yy))


def metasmoothness(theta: ArrayLike, once: ArrayLike, twice: ArrayLike) -> float:
    """How straight the parameters move as the records' weights go from 1 to 1 + h u to 1 + 2 h u.

    Share of the movement that goes on in its direction, less the share that turns back (after Engstrom et al. 2025,
    "Optimizing ML training with metagradient descent"): sum_j d_j sign(theta_2h - theta_h)_j sign(theta_h - theta_0)_j /
    sum_j d_j, where d_j is how far parameter j moved in both parts together.

    Args:
        theta: (P,) after an update with weights 1.
        once: (P,) with weights 1 + h u.
        twice: (P,) with weights 1 + 2 h u.

    Returns:
        1 where every parameter goes straight on, so that derivatives in the weights mean something; about 0 where the
        second half says nothing about the first; NaN where nothing moved.
    """
    start, middle, end = (np.asarray(values, np.float64) for values in (theta, once, twice))
    first, second = middle - start, end - middle
    moved = np.abs(first) + np.abs(second)
    total = float(moved.sum())
    return float((moved * np.sign(first) * np.sign(second)).sum()) / total if total > 0 else math.nan

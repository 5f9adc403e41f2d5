"""How much two groups of records differ, and how far two columns go together. Pure functions of arrays.

Records of an episode resemble each other, so they don't count as independent: intervals are over the clusters that they come
in (episodes). With fewer than ten clusters they are rough, with fewer than five there are none.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.core.faithfulness.lds import RESAMPLES
from engine.intervals import CONFIDENCE, Interval

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_CLUSTERS = 5


def cliffs_delta(values: ArrayLike, group: Bools, cluster: ArrayLike, comparisons: int = 1) -> Interval:
    """Cliff's delta of a group against the rest: P(x > y) - P(x < y) for x from the group and y from the rest.

    [3, 4] against [1, 2, 3] -> (5 - 0) / 6. 1 where all of the group lies above all of the rest, 0 where they are alike, -1
    the other way round. Of zeros and ones it is the difference of the two shares.

    The standard error is that of a clustered U-statistic (Obuchowski 1997), the interval Student's t on the scale of Fisher's
    z with c - 1 degrees of freedom, where c is the number of clusters that the group comes in, or the rest if those are
    fewer. A side that does not vary at all would have no error, but none of 20 having it does not prove that none ever has:
    as if there were one more cluster at an end of the scale (after Agresti and Caffo 2000), (1 + delta^2) / c^2 is added for
    it. Where the groups are wholly apart the interval is that of a share of all of c.

    Args:
        values: (n,) numbers.
        group: (n,) True in the group.
        cluster: (n,) which cluster each belongs to.
        comparisons: with how many others the interval must hold at once (Bonferroni).

    Returns:
        NaN where a group is empty; an interval from NaN to NaN where a group comes in fewer than five clusters.
    """
    from scipy import stats

    x, clusters = np.asarray(values, np.float64), np.unique(np.asarray(cluster), return_inverse=True)[1]
    n, m = int(group.sum()), int((~group).sum())
    if not n or not m:
        return Interval()
    place = np.empty(len(x))
    place[group] = _place(x[group], x[~group])
    place[~group] = -_place(x[~group], x[group])
    delta = float(place[group].mean())
    part = np.where(group, (place - delta) / n, (place - delta) / m)
    sizes = len(np.unique(clusters[group])), len(np.unique(clusters[~group]))
    c = min(sizes)
    if c < LEAST_CLUSTERS:
        return Interval(delta)
    tail = (1 - CONFIDENCE) / comparisons / 2
    if abs(delta) == 1:
        bound = 2 * tail ** (1 / c) - 1
        return Interval(delta, bound, 1.0) if delta > 0 else Interval(delta, -1.0, -bound)
    variance = float(np.square(np.bincount(clusters, part)).sum()) * c / (c - 1)
    for side, size in zip((group, ~group), sizes, strict=True):
        if np.ptp(x[side]) == 0:
            variance += (1 + delta**2) / size**2
    reach = float(stats.t.ppf(1 - tail, c - 1)) * math.sqrt(variance) / (1 - delta**2)
    return Interval(delta, math.tanh(math.atanh(delta) - reach), math.tanh(math.atanh(delta) + reach))


def _place(x: Floats, others: Floats) -> Floats:
    """(len(x),) share of the others below each x less the share above it."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")) / len(others) - 1


def rank_correlation(x: ArrayLike, y: ArrayLike, cluster: ArrayLike, rng: np.random.Generator) -> Interval:
    """Spearman's rank correlation, ties by their mean rank, with a 95 % percentile bootstrap interval over clusters.

    [1, 2, 9] and [0, 5, 6] -> 1. Ranks are taken once: a resample draws clusters of ranks.

    Returns:
        NaN where all values of a side are equal; an interval from NaN to NaN with fewer than five clusters.
    """
    from scipy import stats

    if not len(np.asarray(x)):
        return Interval()
    a, b = (ranks - ranks.mean() for ranks in (stats.rankdata(x), stats.rankdata(y)))
    clusters = np.unique(np.asarray(cluster), return_inverse=True)[1]
    columns = (np.ones_like(a), a, b, a * a, b * b, a * b)
    sums = np.stack([np.bincount(clusters, column) for column in columns], axis=1)
    c = len(sums)
    value = float(_correlation(sums.sum(axis=0)))
    if c < LEAST_CLUSTERS or math.isnan(value):
        return Interval(value)
    drawn = rng.multinomial(c, np.full(c, 1 / c), RESAMPLES)
    return Interval.of_resamples(value, np.asarray(_correlation(np.asarray(drawn @ sums, np.float64))))


def _correlation(sums: Floats) -> Floats:
    """Pearson's correlation from (..., 6) sums of 1, a, b, a^2, b^2 and a b; NaN where a side has no variance."""
    n, a, b, aa, bb, ab = np.moveaxis(sums, -1, 0)
    va, vb = aa / n - (a / n) ** 2, bb / n - (b / n) ** 2
    defined = (va > 1e-12) & (vb > 1e-12)
    scale = np.sqrt(np.where(defined, va * vb, 1))
    return np.where(defined, (ab / n - a * b / n**2) / scale, math.nan)

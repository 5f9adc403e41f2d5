"""How well a fit to pairs of replays will predict removal, foretold by these replays alone: before anything is validated.

Let f be the mean target over Q minibatch orders after a random half of the records was removed. Its variance over such halves is

    W = V_odd + V_even + (N_odd + N_even) / Q:

what single records do, what they do only together, and one replay's share of chance in either. Of `replay_pairs` half of the
difference holds V_odd + N_odd, and half of the sum V_even + N_even beside what the order does to all. Some halves come again in
orders that all of them share: what a half says differently from order to order is N, and what halves say differently within an
order is V + N. Where r is the correlation of y_p with what the fit to the other pairs says of it,

    corr(predicted, f) = r sqrt((V_odd + N_odd) / W),

since what is predicted has no part in V_even and in chance. Ranks of normal variables correlate as 6 / pi asin(corr / 2).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.core.estimators.replay_pairs import half_differences, half_sums
from engine.intervals import Interval

ENOUGH = 4
"""Halves that must have come again; fewer say nothing of chance."""
RESAMPLES = 1000
SURE = 1 - 1e-9
"""A correlation at most, where Fisher's z is finite."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def foretold(
    left_out: Floats, once: Floats, again: Floats, *, subsets: int, orders: int, rng: np.random.Generator
) -> Interval | None:
    """The LDS to expect of a check that removes random halves.

    Args:
        left_out: (m,) what the fit to the other pairs says of half of each pair's difference.
        once: (m, 2) f after the two replays of each pair.
        again: (r, orders, 2) the same of the first r halves, in orders that they share.
        subsets: of the check.
        orders: minibatch orders that it takes each of them in.
        rng: draws the bootstrap resamples.

    Returns:
        The LDS, and where it will lie in 95 of 100 checks: by chance of the pairs (bootstrap), of what came again (chi-squared)
        and of so many subsets (Fisher's z, with the variance of Bonett and Wright 2000). None where too few halves came
        again, or nothing is predicted.
    """
    m, r = len(once), len(again)
    if r < ENOUGH or subsets < 4 or not left_out.any():
        return None
    y, y_again, s = half_differences(once), half_differences(again), half_sums(again)
    s = s - s.mean(axis=0)  # what an order does to all
    halves, repeats = r - 1, s.shape[1]
    by_half = np.square(s.mean(axis=1)).sum() * repeats / halves  # V_even repeats + N_even
    by_chance = np.square(s - s.mean(axis=1, keepdims=True)).sum() / (halves * (repeats - 1))  # N_even
    noise = np.column_stack([y[:r], y_again]).var(axis=1, ddof=1).mean()  # N_odd

    def expected(pairs: Indices, noise: Floats, by_half: Floats, by_chance: Floats) -> Floats:
        """(..., m) pairs and mean squares -> (...) rank correlation."""
        seen, told = y[pairs], left_out[pairs]
        together = _covariance(told, seen)
        with np.errstate(invalid="ignore"):  # a resample in which nothing is predicted says nothing
            explained = together**2 / told.var(axis=-1)
        odd = np.maximum(seen.var(axis=-1) - noise, explained)
        even = np.maximum(by_half - by_chance, 0) / repeats
        share = explained / (odd + even + (noise + by_chance) / orders)
        return 6 / math.pi * np.arcsin(np.sign(together) * np.sqrt(share) / 2)

    def drawn(square: float, freedom: int) -> Floats:
        """Mean squares that this one may be of."""
        return square * freedom / rng.chisquare(freedom, size=RESAMPLES)

    found = expected(
        rng.integers(m, size=(RESAMPLES, m)),
        drawn(noise, r * repeats),
        drawn(by_half, halves),
        drawn(by_chance, halves * (repeats - 1)),
    )
    luck = rng.normal(size=RESAMPLES) * np.sqrt((1 + found**2 / 2) / (subsets - 3))
    checks = np.tanh(np.arctanh(np.clip(found, -SURE, SURE)) + luck)
    return Interval.of_resamples(float(expected(np.arange(m), noise, by_half, by_chance)), checks)


def in_words(expected: Interval) -> str:
    """What was foretold, as part of a sentence.

    >>> in_words(Interval(0.634, 0.45, 0.76))
    'expected LDS 0.63 where halves are removed (0.45 to 0.76 in 95 of 100 checks), foretold by its own replays'
    """
    return (
        f"expected LDS {expected.value:.2f} where halves are removed ({expected.low:.2f} to {expected.high:.2f} in 95 of 100 "
        "checks), foretold by its own replays"
    )


def _covariance(a: Floats, b: Floats) -> Floats:
    """Over the last axis."""
    found: Floats = ((a - a.mean(axis=-1, keepdims=True)) * (b - b.mean(axis=-1, keepdims=True))).mean(axis=-1)
    return found

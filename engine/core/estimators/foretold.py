"""How well a fit to pairs of replays will predict removal, foretold by these replays alone: before anything is validated.

Let f be the mean target over Q minibatch orders after a random half of the records was removed. Its variance over such halves
is W = V_odd + V_even + V_noise / Q: what single records do, what they do only together, and one replay's share of chance. Of
`replay_pairs` half of the difference holds V_odd + V_noise / 2, and half of the sum V_even + V_noise / 2 beside the order's own
b_q. Some halves were replayed in a second order, which several of them share. Between the two orders half of a difference
differs by V_noise in the mean of squares, and within a shared order the sums have one b_q. Where r is the correlation of y_p with
what the fit to the other pairs says of it,

    corr(predicted, f) = r sqrt((V_odd + V_noise / 2) / W),

since what is predicted has no part in V_even and in the noise. Ranks of normal variables correlate as 6 / pi asin(corr / 2).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.core.estimators.replay_pairs import SHARED_ORDERS, half_differences, half_sums
from engine.intervals import Interval

ENOUGH = 2
"""Halves that must share an order; fewer say nothing of what that order does to all of them."""
RESAMPLES = 1000

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def foretold(
    left_out: Floats, once: Floats, again: Floats, *, subsets: int, orders: int, rng: np.random.Generator
) -> Interval | None:
    """The LDS to expect of a check that removes random halves.

    Args:
        left_out: (m,) what the fit to the other pairs says of half of each pair's difference.
        once: (m, 2) f after the two replays of each pair.
        again: (r, 2) the same of the first r halves, half p in the order p modulo `SHARED_ORDERS` of some others.
        subsets: of the check.
        orders: minibatch orders that it takes each of them in.
        rng: draws the bootstrap resamples.

    Returns:
        The LDS, and where it will lie in 95 of 100 checks: the bootstrap over pairs, and the chance of so many subsets
        (Fisher's z). None where too few halves came again, or nothing is predicted.
    """
    m, rows = len(once), len(again) // SHARED_ORDERS
    if rows < ENOUGH or subsets < 4:
        return None
    r = rows * SHARED_ORDERS
    y, chance = half_differences(once), np.square(half_differences(once[:r]) - half_differences(again[:r]))
    by_order = half_sums(again[:r]).reshape(rows, SHARED_ORDERS)
    within = np.square(by_order - by_order.mean(axis=0)).ravel() * rows / (rows - 1)

    def expected(pairs: Indices, twice: Indices) -> Floats:
        """(..., m) pairs and (..., r) halves that came again -> (...) rank correlation."""
        noise = chance[twice].mean(axis=-1)
        odd = np.maximum(y[pairs].var(axis=-1) - noise / 2, 0)
        even = np.maximum(within[twice].mean(axis=-1) - noise / 2, 0)
        scale = left_out[pairs].std(axis=-1) * np.sqrt(odd + even + noise / orders)
        together = _covariance(left_out[pairs], y[pairs])
        seen = np.divide(together, scale, out=np.full(scale.shape, math.nan), where=scale > 0)
        return 6 / math.pi * np.arcsin(np.clip(seen, -1, 1) / 2)

    value = float(expected(np.arange(m), np.arange(r)))
    if math.isnan(value):
        return None
    found = expected(rng.integers(m, size=(RESAMPLES, m)), rng.integers(r, size=(RESAMPLES, r)))
    luck = rng.normal(scale=1 / math.sqrt(subsets - 3), size=RESAMPLES)
    return Interval.of_resamples(value, np.tanh(np.arctanh(np.clip(found, -_SURE, _SURE)) + luck))


def in_words(expected: Interval) -> str:
    """What was foretold, as part of a sentence.

    >>> in_words(Interval(0.634, 0.45, 0.76))
    'expected LDS 0.63 where halves are removed (0.45 to 0.76 in 95 of 100 checks), foretold by its own replays'
    """
    return (
        f"expected LDS {expected.value:.2f} where halves are removed ({expected.low:.2f} to {expected.high:.2f} in 95 of 100 "
        "checks), foretold by its own replays"
    )


_SURE = 1 - 1e-9


def _covariance(a: Floats, b: Floats) -> Floats:
    """Over the last axis."""
    found: Floats = ((a - a.mean(axis=-1, keepdims=True)) * (b - b.mean(axis=-1, keepdims=True))).mean(axis=-1)
    return found

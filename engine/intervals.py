"""An estimate with its confidence interval, the same for every statistic of the project."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Of every interval."""


class Interval(NamedTuple):
    """An estimate with its 95 % interval; NaN where it is not defined."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of_resamples(cls, value: float, resampled: NDArray[np.float64]) -> Self:
        """The percentile bootstrap interval, of the resamples for which the statistic is defined.

        >>> Interval.of_resamples(2.0, np.array([1.0, 2.0, 3.0, np.nan]))
        Interval(value=2.0, low=1.05, high=2.95)
        """
        defined = resampled[np.isfinite(resampled)]
        if math.isnan(value) or not len(defined):
            return cls(value)
        low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return cls(value, float(low), float(high))

    @classmethod
    def of_mean(cls, values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Self:
        """Student's t interval of the mean of independent values; infinite for a single one.

        >>> Interval.of_mean(np.array([1.0, 2.0, 3.0]))
        Interval(value=2.0, low=-0.484..., high=4.484...)
        """
        mean, n = float(values.mean()), len(values)
        if n < 2:
            return cls(mean, -math.inf, math.inf)
        reach = float(values.std(ddof=1)) / math.sqrt(n) * float(t_reach(n - 1, confidence))
        return cls(mean, mean - reach, mean + reach)

    @classmethod
    def of_difference(
        cls, values: NDArray[np.float64], others: NDArray[np.float64], confidence: float = CONFIDENCE
    ) -> Self:
        """Welch's t interval of how far the mean of independent values lies above that of others (Welch 1947).

        Infinite where a side has a single value.

        >>> Interval.of_difference(np.array([4.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0]))
        Interval(value=3.0, low=0.73..., high=5.26...)
        """
        value, sizes = float(values.mean() - others.mean()), (len(values), len(others))
        if min(sizes) < 2:
            return cls(value, -math.inf, math.inf)
        parts = np.array([values.var(ddof=1), others.var(ddof=1)]) / sizes
        if not parts.any():
            return cls(value, value, value)
        freedom = float(parts.sum() ** 2 / (parts**2 / (np.array(sizes) - 1)).sum())
        reach = math.sqrt(parts.sum()) * float(t_reach(freedom, confidence))
        return cls(value, value - reach, value + reach)

    @classmethod
    def of_next(cls, value: float, before: NDArray[np.float64], confidence: float = CONFIDENCE) -> Self:
        """How far a value lies above the mean of independent ones before it, by Student's t interval for one more of them.

        Infinite after a single one. It lies beyond their noise where the interval excludes 0.

        >>> Interval.of_next(9.0, np.array([1.0, 2.0, 3.0]))
        Interval(value=7.0, low=2.03..., high=11.96...)
        """
        above, n = float(value - before.mean()), len(before)
        if n < 2:
            return cls(above, -math.inf, math.inf)
        reach = float(before.std(ddof=1)) * math.sqrt(1 + 1 / n) * float(t_reach(n - 1, confidence))
        return cls(above, above - reach, above + reach)

    @classmethod
    def of_share(cls, some: int, n: int) -> Self:
        """Wilson's score interval of a share (Wilson 1927); NaN where there are none to share.

        >>> Interval.of_share(0, 16)
        Interval(value=0.0, low=0.0, high=0.193...)
        """
        if not n:
            return cls()
        from scipy import stats

        low, high = stats.binomtest(some, n).proportion_ci(CONFIDENCE, method="wilson")
        return cls(some / n, float(low), float(high))


def t_reach(freedom: float | NDArray[np.int64], confidence: float = CONFIDENCE) -> np.float64 | NDArray[np.float64]:
    """How many standard errors Student's t interval of a mean reaches to either side; freedom is the values less one.

    >>> round(float(t_reach(2)), 3)
    4.303
    """
    from scipy import stats

    reach: np.float64 | NDArray[np.float64] = stats.t.ppf((1 + confidence) / 2, freedom)
    return reach

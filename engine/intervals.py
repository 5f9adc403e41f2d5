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


def t_reach(freedom: int | NDArray[np.int64], confidence: float = CONFIDENCE) -> np.float64 | NDArray[np.float64]:
    """How many standard errors Student's t interval of a mean reaches to either side; freedom is the values less one.

    >>> round(float(t_reach(2)), 3)
    4.303
    """
    from scipy import stats

    reach: np.float64 | NDArray[np.float64] = stats.t.ppf((1 + confidence) / 2, freedom)
    return reach

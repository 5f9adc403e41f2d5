"""Reliable statistics over few seeds (Agarwal et al. 2021, "Deep RL at the Edge of the Statistical Precipice").

The definitions are those of the authors' library rliable, which is not used here because its releases pin old plotting
libraries. Scores come in strata, one array of (seeds,) an environment: a bootstrap resample draws seeds with replacement within
each environment. Two arms are resampled independently, although equal seeds start from equal networks: that is the cautious
choice. With five seeds such intervals are somewhat too short; read an interval that barely excludes 0 with care.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, fsum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.intervals import Interval

Floats = NDArray[np.float64]
Strata = Sequence[ArrayLike]
"""One array of (seeds,) scores per environment."""

RESAMPLES = 10_000


def iqm(scores: Strata) -> float:
    """Interquartile mean: the mean of all scores without the lowest and the highest quarter (rounded down).

    [[0, 1, 2, 9]] -> 1.5; [[0, 1, 2, 3, 9]] -> 2. Less noisy than the median, less sensitive to outliers than the mean.
    """
    from scipy import stats

    return float(stats.trim_mean(np.concatenate(_floats(scores)), 0.25))


def iqm_interval(scores: Strata, rng: np.random.Generator, resamples: int = RESAMPLES) -> Interval:
    """The interquartile mean with its stratified bootstrap interval."""
    return _interval(iqm(scores), _resampled_iqm(_floats(scores), rng, resamples), scores)


def iqm_difference(x: Strata, y: Strata, rng: np.random.Generator, resamples: int = RESAMPLES) -> Interval:
    """IQM(x) - IQM(y) with its interval; x and y are two arms on the same environments."""
    differences = _resampled_iqm(_floats(x), rng, resamples) - _resampled_iqm(_floats(y), rng, resamples)
    return _interval(iqm(x) - iqm(y), differences, [*x, *y])


def improvement(x: Strata, y: Strata, rng: np.random.Generator, resamples: int = RESAMPLES) -> Interval:
    """P(X > Y): how likely a seed of x beats a seed of y; ties count one half (Mann-Whitney). Mean over environments.

    x = [1, 3], y = [1, 2]: of four pairs two are won and one is tied -> 0.625.
    """
    wins = [np.greater.outer(a, b) + np.equal.outer(a, b) / 2 for a, b in zip(_floats(x), _floats(y), strict=True)]
    resampled = _resampled_pairs(wins, rng, resamples)
    return _interval(float(np.mean([won.mean() for won in wins])), resampled, [*x, *y])


def symmetric_efficiency(ratios: Sequence[Floats], rng: np.random.Generator, resamples: int = RESAMPLES) -> Interval:
    """SE_sym with its interval: 1 - exp(mean log ratio of the rounds needed), over pairs of seeds, then over environments.

    0.25 is a quarter fewer rounds than the standard arm. An arm against itself is exactly 0, and against the standard arm it is
    1 - 1 / (1 - SE_sym) of the standard arm against it. Both arms' seeds are resampled.

    >>> symmetric_efficiency([np.log([[0.5, 1.0], [1.0, 0.5]])], np.random.default_rng(0)).value.__round__(3)
    0.293

    Args:
        ratios: `metrics.log_ratios` of each environment, (seeds, other seeds).
        rng: generator of the bootstrap.
        resamples: how many.
    """
    # Summed exactly, so that what stands in both signs leaves nothing.
    mean = fsum(fsum(pairs.ravel().tolist()) / pairs.size for pairs in ratios) / len(ratios)
    resampled = 1 - np.exp(_resampled_pairs(ratios, rng, resamples))
    return _interval(1 - exp(mean), resampled, [side for pairs in ratios for side in (pairs[0], pairs[:, 0])])


def normalizer(standard: ArrayLike) -> Callable[[ArrayLike], Floats]:
    """Makes returns of one environment comparable with another's: (x - worst) / (best - worst).

    Args:
        standard: every evaluation of PPO there, over all seeds and rounds; worst and best are its extremes, so PPO's curves
            lie in [0, 1] and a filtered run can lie outside. NaN is left out.
    """
    worst, best = float(np.nanmin(standard)), float(np.nanmax(standard))
    span = best - worst or 1.0
    return lambda returns: (np.asarray(returns, np.float64) - worst) / span


def _resampled_iqm(scores: list[Floats], rng: np.random.Generator, resamples: int) -> Floats:
    from scipy import stats

    drawn = [values[_draw(len(values), rng, resamples)] for values in scores]
    return np.asarray(stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1))


def _resampled_pairs(pairs: Sequence[Floats], rng: np.random.Generator, resamples: int) -> Floats:
    """(resamples,) means over the pairs of resampled seeds of two arms, (seeds, other seeds) an environment, then over these."""
    resampled = np.zeros(resamples)
    for values in pairs:
        rows, columns = (_times_drawn(n, rng, resamples) for n in values.shape)
        resampled += ((rows @ values) * columns).sum(1) / (values.size * len(pairs))
    return resampled


def _times_drawn(n: int, rng: np.random.Generator, resamples: int) -> NDArray[np.int64]:
    """(resamples, n) how often each position was drawn: pairs of resampled seeds need not be laid out."""
    places = _draw(n, rng, resamples) + n * np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=n * resamples).reshape(resamples, n)


def _draw(n: int, rng: np.random.Generator, resamples: int) -> NDArray[np.int64]:
    """(resamples, n) positions, with replacement."""
    return rng.integers(n, size=(resamples, n))


def _interval(value: float, resampled: Floats, scores: Strata) -> Interval:
    """NaN to NaN where an environment has only one seed."""
    several = min(len(values) for values in _floats(scores)) > 1
    return Interval.of_resamples(value, resampled) if several else Interval(value)


def _floats(scores: Strata) -> list[Floats]:
    strata = [np.asarray(values, np.float64) for values in scores]
    if not strata or not all(len(values) for values in strata):
        raise ValueError("every environment needs at least one score")
    return strata

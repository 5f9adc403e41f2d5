"""How much faster did it learn? The paper's metrics on learning curves (arXiv 2505.19281, section 5), and three steadier ones.

A curve is (rounds,): the mean test return after each round's update, NaN where it was not evaluated. Rounds of training
are counted from 1, so `curve[0]` is the evaluation after the first update.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LearningCurve = NDArray[np.float64]

LAST_EVALUATIONS = 3
"""Evaluations that `final_return` averages."""


@dataclass(frozen=True)
class SampleEfficiency:
    """How many fewer rounds a filtered run needed than the standard one; 0.25 is a quarter fewer, below 0 is more."""

    ave: float
    """SE_ave: mean reduction over all levels."""
    peak: float
    """SE_peak: reduction at the highest level that the standard run reaches."""
    levels: int
    """Levels that the standard run reaches."""
    never: int
    """Those that the filtered run never reaches."""


def first_reached(curve: ArrayLike, level: float) -> int | None:
    """m(v): rounds of training after which the test return is at least `level` for the first time.

    [1, 3, 2], level 3 -> 2. None if it never is.
    """
    reached = np.asarray(curve, np.float64) >= level
    return int(reached.argmax()) + 1 if reached.any() else None


def levels(curve: ArrayLike) -> LearningCurve:
    """The strictly increasing levels v of the paper: the running maxima of the standard run's curve.

    [2, 1, 2, 5, 4] -> [2, 5].
    """
    values = np.asarray(curve, np.float64)
    return np.unique(np.fmax.accumulate(values[~np.isnan(values)]))


def sample_efficiency(standard: ArrayLike, filtered: ArrayLike) -> SampleEfficiency:
    """SE_ave and SE_peak: the reduction 1 - m_filtered(v) / m_standard(v) over the standard run's levels.

    Standard [1, 2, 4], filtered [2, 3, 4]: levels 1, 2, 4 are reached after 1, 2, 3 and 1, 1, 3 rounds; reductions 0, 1/2,
    0; SE_ave 1/6, SE_peak 0.

    Where the filtered run never reaches a level, its m is taken as the number of rounds plus 1: the smallest one that agrees
    with what was seen, so a bound in the filter's favour. `never` counts such levels; the paper does not say what it does.

    Raises:
        ValueError: the standard run was never evaluated.
    """
    values, beyond = levels(standard), len(np.asarray(filtered)) + 1
    if not len(values):
        raise ValueError("the standard run's curve has no evaluation")
    needed = [first_reached(filtered, v) for v in values]
    reductions = [1 - (m or beyond) / (first_reached(standard, v) or 1) for m, v in zip(needed, values, strict=True)]
    return SampleEfficiency(float(np.mean(reductions)), float(reductions[-1]), len(values), needed.count(None))


def log_ratios(standard: ArrayLike, filtered: ArrayLike) -> NDArray[np.float64]:
    """What SE_sym is made of: the mean of log(m_filtered(v) / m_standard(v)) over a pair's levels v, for every pair of seeds.

    The levels of a pair are the running maxima of either curve, up to the lower of both peaks: both runs reach all of them, and
    neither run's luck alone chooses them. Exchanging the arms transposes the matrix and turns every sign. SE_sym is
    1 - exp(mean over pairs), see `statistics.symmetric_efficiency`.

    Standard [1, 2, 4], filtered [2, 3, 4]: levels 1, 2, 3, 4 are reached after 1, 2, 3, 3 and 1, 1, 2, 3 rounds; the mean of
    log 1, log 1/2, log 2/3 and log 1 is -0.27: a quarter fewer rounds.

    >>> log_ratios([[1, 2, 4]], [[2, 3, 4], [1, 2, 4]]).round(2)
    array([[-0.27,  0.  ]])

    Args:
        standard: (seeds, rounds) curves.
        filtered: (other seeds, rounds) curves.

    Returns:
        (seeds, other seeds).

    Raises:
        ValueError: a curve has no evaluation.
    """
    return np.array([[_log_ratio(a, b) for b in np.asarray(filtered)] for a in np.asarray(standard)])


def _log_ratio(standard: ArrayLike, filtered: ArrayLike) -> float:
    both = [levels(curve) for curve in (standard, filtered)]
    if not all(map(len, both)):
        raise ValueError("a curve has no evaluation")
    shared = np.union1d(*both)
    shared = shared[shared <= min(own[-1] for own in both)]
    after_standard, after_filtered = (np.log(_first_reached_each(curve, shared)) for curve in (standard, filtered))
    return float(np.mean(after_filtered - after_standard))


def _first_reached_each(curve: ArrayLike, reached: LearningCurve) -> NDArray[np.int64]:
    """`first_reached` of several levels that the curve does reach."""
    values = np.asarray(curve, np.float64)
    return np.searchsorted(np.maximum.accumulate(np.where(np.isnan(values), -np.inf, values)), reached) + 1


def runtime_peak(
    standard: ArrayLike, filtered: ArrayLike, standard_seconds: ArrayLike, filtered_seconds: ArrayLike
) -> float:
    """RT_peak: SE_peak in training time instead of rounds.

    Args:
        standard: (rounds,) the standard run's curve.
        filtered: (rounds,) the filtered run's.
        standard_seconds: (rounds,) training time of each round, evaluation left out.
        filtered_seconds: (rounds,) likewise, with the time that the filter took.

    Returns:
        1 - t_filtered / t_standard, where t is the training time until the standard run's peak is reached. Where the
        filtered run never reaches it, the time of its whole training: a bound in its favour.
    """
    peak = levels(standard)[-1]
    spent = []
    for curve, seconds in ((standard, standard_seconds), (filtered, filtered_seconds)):
        spent.append(float(np.asarray(seconds, np.float64)[: first_reached(curve, peak)].sum()))
    return 1 - spent[1] / spent[0]


def final_return(curve: ArrayLike) -> float:
    """Mean of the last three evaluations (of all, where there are fewer)."""
    values = np.asarray(curve, np.float64)
    return float(values[~np.isnan(values)][-LAST_EVALUATIONS:].mean())


def area(curve: ArrayLike) -> float:
    """Mean test return over all evaluations: the area under the curve, per round."""
    return float(np.nanmean(np.asarray(curve, np.float64)))

"""What stands out in the updates before an incident. Alone it is no alarm: most such updates do no harm."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LARGE_KL = 0.1
"""Above it in the rounds up to the onset in 17 of 24 real falls, and in 3 of 13 runs without one."""
PAST, LEAST = 30, 10
"""Rounds that an update is compared with, at most and at least."""
DEVIATIONS = 6.0
"""Of the median absolute deviation, scaled to a normal distribution's standard deviation."""

UP, DOWN = 1, -1
EXPLAIN = {
    "approx_kl": ("KL", UP),
    "clip_fraction": ("clip fraction", UP),
    "grad_norm": ("gradient norm", UP),
    "entropy": ("entropy", DOWN),
    "explained_variance": ("explained variance", DOWN),
}
"""Metric -> its name in words, and the direction that is looked at."""


class Cause(NamedTuple):
    """A metric of an update that stands out."""

    words: str
    update: int


class History:
    """The metrics of the updates so far, a list each; NaN where there is none."""

    def __init__(self) -> None:
        self.rounds: list[int] = []
        self.values: dict[str, list[float]] = {name: [] for name in EXPLAIN}

    def causes(self, first: int, last: int) -> tuple[Cause, ...]:
        """What stands out in the updates of rounds `first` to `last`, in a few words each.

        >>> history = History()
        >>> for k in range(20):
        ...     history.rounds.append(k)
        ...     for name, values in history.values.items():
        ...         values.append(0.01 if name != "approx_kl" or k < 19 else 0.32)
        >>> history.causes(17, 19)
        (Cause(words='KL 0.32 in update 19, above 0.1', update=19),)
        """
        begin, end = bisect_left(self.rounds, first), bisect_left(self.rounds, last + 1)
        said = (self._of(name, begin, end) for name in EXPLAIN)
        return tuple(cause for cause in said if cause is not None)

    def _of(self, name: str, begin: int, end: int) -> Cause | None:
        words, direction = EXPLAIN[name]
        values = [value * direction for value in self.values[name][begin:end]]
        if not values or all(map(math.isnan, values)):
            return None
        extreme = max(value for value in values if not math.isnan(value))
        where, value = self.rounds[begin + values.index(extreme)], extreme * direction
        if name == "approx_kl" and value > LARGE_KL:
            return Cause(f"{words} {value:.3g} in update {where}, above {LARGE_KL:g}", where)
        before = self.values[name][max(begin - PAST, 0) : begin]
        past = [each * direction for each in before if not math.isnan(each)]
        if not _leaves(extreme, past):
            return None
        most = f"at {'most' if direction == UP else 'least'} {max(past) * direction:.3g}"
        before_it = f"{len(past)} rounds before round {self.rounds[begin]}"
        return Cause(f"{words} {value:.3g} in update {where}, {most} in the {before_it}", where)


def _leaves(value: float, past: Sequence[float]) -> bool:
    """Whether a value lies above all of the past, and far from its median."""
    if len(past) < LEAST or value <= max(past):
        return False
    with np.errstate(over="ignore"):
        median = float(np.median(past))
        deviation = 1.4826 * float(np.median(np.abs(np.array(past) - median)))
    return value - median > DEVIATIONS * deviation

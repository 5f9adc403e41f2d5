"""Where two runs parted: from their returns of training to the first stored round whose policies differ."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.analysis.incidents.apart import Stretch
from engine.executors import Progress
from engine.intervals import CONFIDENCE, Interval
from engine.intervention.autopsy.common_returns import CommonReturns
from engine.intervention.autopsy.play import why_unplayed
from engine.intervention.autopsy.recorded_policies import RecordedPolicies
from engine.intervention.autopsy.two_runs_result import Parting
from engine.store.read import Run

SHARE = 0.25
"""Of the difference in the returns of training, that the policies' difference on common seeds is at least."""
NOT_STORED = "no round's policy is stored in both runs"
ALIKE = "the policies of these rounds do not differ on common seeds"


@dataclass(frozen=True)
class Pair:
    """Two runs of one environment, and what was played of them."""

    runs: tuple[Run, Run]
    returns: CommonReturns
    say: Progress

    @cached_property
    def common(self) -> list[int]:
        """The rounds whose checkpoints are stored in both, in order."""
        return sorted(set(self.runs[0].checkpoint_rounds) & set(self.runs[1].checkpoint_rounds))

    @cached_property
    def unplayed(self) -> str:
        """Why no policies can be compared; empty where they can."""
        stored = [run.stored_rounds for run in self.runs]
        if not self.common or not all(stored):
            return NOT_STORED
        why = (why_unplayed(run.snapshot(rounds[0])) for run, rounds in zip(self.runs, stored, strict=True))
        return next(filter(None, why), "")

    def name(self, which: int) -> str:
        """The folder's name of the run (0) or the other one (1), or all of its path where both have one name."""
        same = self.runs[0].name == self.runs[1].name
        return str(self.runs[which].path) if same else self.runs[which].name

    def play(self, policies: RecordedPolicies, which: int, k: int) -> NDArray[np.float64]:
        """(episodes,) returns of theta(k) of the run (0) or the other one (1)."""
        return policies.play(self.runs[which], k, f"{('of the run', 'of the other run')[which]}, round {k}")


def parting(pair: Pair, seen: Stretch) -> tuple[Parting | None, str]:
    """The first of the stored rounds whose policies differ, and what could not be done; None where no policies do.

    Args:
        pair: two runs.
        seen: the rounds in which their returns of training differ.
    """
    order = (seen.lower, 1 - seen.lower)
    means = seen.means[order[0]], seen.means[order[1]]
    until = None if seen.at_end else seen.last
    if pair.unplayed:
        return Parting(seen.first, None, until, means, None, 0), pair.unplayed
    rounds = [k for k in pair.common if k <= seen.last]
    if not rounds:
        return None, NOT_STORED
    looks = most_looks(len(rounds))
    confidence, least = 1 - (1 - CONFIDENCE) / looks, SHARE * (means[1] - means[0])
    differ: dict[int, Interval] = {}
    with RecordedPolicies(pair.returns, pair.say, 2 * looks) as policies:

        def are_apart(k: int) -> bool:
            lower, higher = (pair.play(policies, which, k) for which in order)
            differ[k] = Interval.of_mean(lower - higher, confidence)
            return differ[k].high < 0 and -differ[k].value >= least

        at = first_apart(rounds, seen.first, are_apart)
        if at is None:
            return None, ALIKE
        lower, higher = (float(pair.play(policies, which, at).mean()) for which in order)
    before = max((k for k in rounds if k < at), default=None)
    return Parting(at, before, until, (lower, higher), differ[at], pair.returns.episodes), ""


def most_looks(rounds: int) -> int:
    """How many of so many rounds `first_apart` asks at most."""
    return 2 * math.ceil(math.log2(max(rounds, 2))) + 2


def first_apart(rounds: Sequence[int], near: int, apart: Callable[[int], bool]) -> int | None:
    """The first of the rounds from which on `apart` holds, looked for outwards from one near it and then by halves.

    >>> first_apart(range(100), 40, lambda k: k >= 33), first_apart(range(100), 40, lambda k: k >= 61)
    (33, 61)

    Args:
        rounds: at least one, in order.
        near: where to begin.
        apart: whether it holds at a round; once it does, it is taken to hold later too.

    Returns:
        None where it holds at none of those that were asked, the last among them.
    """
    low, high, step = -1, min(bisect_left(rounds, near), len(rounds) - 1), 1
    while not apart(rounds[high]):
        if high == len(rounds) - 1:
            return None
        low, high, step = high, min(high + step, len(rounds) - 1), 2 * step
    step = 1
    while high - low > 1:
        middle = (low + high) // 2 if low >= 0 else max(high - step, 0)
        if apart(rounds[middle]):
            high, step = middle, 2 * step
        else:
            low = middle
    return rounds[high]

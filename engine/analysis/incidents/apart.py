"""In which rounds the returns of two runs differ by more than their noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.analysis.incidents.drops import NEGLIGIBLE, SCALES, SHARP, SPREADS, Scale
from engine.analysis.incidents.not_finite import number
from engine.analysis.incidents.returns import EPISODES, SUM, Numbers, Places, Returns, Round, variance

STILL = 0.5
"""Share of the difference at the end of a long window, that shorter ones have there at least."""


class Stretch(NamedTuple):
    """Rounds in which one run's returns lie above the other's."""

    first: int
    last: int
    """By the shortest windows that differ."""
    lower: int
    """0: the first run is the lower one; 1: the other."""
    at_end: bool
    """Whether they still differ where the shorter run ends."""
    means: tuple[float, float]
    """Mean returns of both runs in these rounds."""

    @property
    def size(self) -> float:
        """Rounds times the difference in them."""
        return (self.last - self.first + 1) * abs(self.means[0] - self.means[1])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"first": self.first, "last": self.last, "means": list(self.means), "at_end": self.at_end}


class _Compared(NamedTuple):
    """Windows of both runs at one scale, from every round on from which both are full."""

    rounds: Places
    """(m,) the first of each."""
    lasts: Places
    """(m,)"""
    differences: Numbers
    """(m,) mean return of the first run less the other's."""
    hits: NDArray[np.bool_]
    """(m,) whether that is beyond their noise."""


class _Hit(NamedTuple):
    """Windows of both runs from one round on that differ."""

    first: int
    last: int
    scale: int
    lower: int
    at_end: bool


def returns_of(rounds: Iterable[tuple[int, Mapping[str, Any]]]) -> Returns:
    """The returns of those rounds whose metrics say how many episodes ended, their mean and their standard deviation."""
    found = Returns()
    named = ("episodes", "mean_return", "std_return")
    known = ((k, [number(metrics.get(name)) for name in named]) for k, metrics in rounds)
    found.extend([Round(k, *values) for k, values in known if np.isfinite(values).all() and values[0] >= 1])
    return found


def apart(one: Returns, other: Returns) -> list[Stretch]:
    """Where two runs differ, in order; empty where they never do.

    From every round on, the smallest windows with enough episodes and rounds are compared, at the five scales of `Drops`: with
    mean returns m and m', z = |m - m'| / sqrt(max(V, V' / 4) / n + max(V', V / 4) / n') is at least 4 (5 at the sharp scale),
    and the difference a quarter (0.4) of the range of all window means and half a standard deviation of single episodes.
    Windows that overlap and differ in the same direction are one stretch.

    >>> alike = [Round(k, 10, 20.0 + k, 5.0) for k in range(12)]
    >>> fell = [Round(k, 10, 20.0 + k if k < 7 else 5.0, 5.0) for k in range(12)]
    >>> runs = [Returns(), Returns()]
    >>> runs[0].extend(alike), runs[1].extend(fell)
    (None, None)
    >>> apart(*runs)
    [Stretch(first=7, last=11, lower=1, at_end=True, means=(29.0, 5.0))]
    >>> apart(runs[0], runs[0])
    []
    """
    if not len(one) or not len(other):
        return []
    hits = sorted(_hits([_compared(one, other, scale) for scale in SCALES]))
    stretches: list[list[_Hit]] = []
    for hit in hits:
        same = stretches and stretches[-1][0].lower == hit.lower
        if same and hit.first <= max(each.last for each in stretches[-1]) + 1:
            stretches[-1].append(hit)
        else:
            stretches.append([hit])
    return [_stretch(one, other, each) for each in stretches]


def decided(one: Returns, other: Returns) -> bool:
    """Whether there are enough episodes in both runs to compare any windows."""
    return bool(len(one) and len(other)) and len(_full(one, other, SHARP)[0]) > 0


def _full(one: Returns, other: Returns, scale: Scale) -> tuple[Places, list[Places], list[Places]]:
    """(m,) rounds from which on both windows are full; by run where these begin, and where they end, by position."""
    rounds = np.array(sorted({*one.numbers, *other.numbers}), np.int64)
    begins, ends = zip(*(_windows(returns, rounds, scale) for returns in (one, other)), strict=True)
    full = np.logical_and.reduce([end <= len(returns) for end, returns in zip(ends, (one, other), strict=True)])
    return rounds[full], [begin[full] for begin in begins], [end[full] for end in ends]


def _windows(returns: Returns, rounds: Places, scale: Scale) -> tuple[Places, Places]:
    """Where the windows from each round on begin, and where they end (beyond all rounds: nowhere), by position."""
    episodes = np.array(returns.sums[EPISODES])
    begins = np.searchsorted(np.array(returns.numbers), rounds)
    ends = np.searchsorted(episodes, episodes[begins] + scale.episodes_after, "left")
    return begins, np.maximum(ends, begins + scale.rounds_after)


def _compared(one: Returns, other: Returns, scale: Scale) -> _Compared:
    runs = (one, other)
    rounds, begins, ends = _full(one, other, scale)
    if not len(rounds):
        return _Compared(rounds, rounds, np.zeros(0), np.zeros(0, bool))
    windows = [returns.windows(*places) for returns, *places in zip(runs, begins, ends, strict=True)]
    means = [window[SUM] / window[EPISODES] + returns.origin for window, returns in zip(windows, runs, strict=True)]
    difference, span = means[0] - means[1], float(np.ptp(np.concatenate(means)))
    with np.errstate(all="ignore"):
        z, spread = _evidence(windows, difference, sharp=scale is SHARP)
    size = np.abs(difference)
    enough = (size >= scale.share * span) & (size >= SPREADS * spread) & (size > NEGLIGIBLE * np.abs(means[0]))
    lasts = np.maximum(*(np.array(returns.numbers)[end - 1] for returns, end in zip(runs, ends, strict=True)))
    return _Compared(rounds, lasts, difference, enough & (z >= scale.z))


def _hits(compared: Sequence[_Compared]) -> Iterator[_Hit]:
    """Those of all scales, the shortest windows first. A long one may reach the end while the last rounds are alike."""
    for scale, each in enumerate(compared):
        shorter = [other.differences[-1] for other in compared[:scale] if len(other.rounds)]
        for i in np.flatnonzero(each.hits).tolist():
            by = each.differences[i]
            still = all(last * np.sign(by) >= STILL * abs(by) for last in shorter)
            at_end = i == len(each.rounds) - 1 and still
            yield _Hit(int(each.rounds[i]), int(each.lasts[i]), scale, int(by > 0), at_end)


def _evidence(windows: Sequence[Numbers], difference: Numbers, *, sharp: bool) -> tuple[Numbers, Numbers]:
    """(m,) z of the differences, and the standard deviation of single episodes."""
    noise = [variance(window) for window in windows]
    either = np.maximum(*noise)
    used = [either, either] if sharp else [np.maximum(noise[0], noise[1] / 4), np.maximum(noise[1], noise[0] / 4)]
    error = sum(each / window[EPISODES] for each, window in zip(used, windows, strict=True))
    return np.abs(difference) / np.sqrt(error), np.sqrt(either)


def _stretch(one: Returns, other: Returns, hits: Sequence[_Hit]) -> Stretch:
    shortest = [hit for hit in hits if hit.scale == min(each.scale for each in hits)]
    first, last = min(hit.first for hit in shortest), max(hit.last for hit in shortest)
    places = [np.searchsorted(np.array(each.numbers), [first, last + 1]).tolist() for each in (one, other)]
    means = tuple(each.mean(*place) for each, place in zip((one, other), places, strict=True))
    return Stretch(first, last, hits[0].lower, any(hit.at_end for hit in hits), (means[0], means[1]))

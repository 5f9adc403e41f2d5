"""Falls of the return by more than its noise: every boundary between rounds, at five scales."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.analysis.incidents.falls import Chain, Drop, Hit, chain, drop_between, groups, near
from engine.analysis.incidents.returns import (
    EPISODES,
    FREEDOM,
    SQUARES,
    SUM,
    WITHIN,
    Numbers,
    Places,
    Returns,
    Round,
    variance,
)


class Scale(NamedTuple):
    """How many episodes and rounds the windows on both sides of a boundary have at least, and what makes a fall there."""

    episodes_before: int
    episodes_after: int
    rounds_before: int
    rounds_after: int
    z: float = 4.0
    share: float = 0.25
    """Of the range of the returns so far."""


SHARP = Scale(6, 4, 2, 1, z=5.0, share=0.4)
"""Two rounds before, one after: too few for a variance of their own."""
SCALES = (SHARP, *(Scale(20 * 2**i, 10 * 2**i, 5 * 2**i, 2 * 2**i) for i in range(4)))
SPREADS = 0.5
"""Standard deviations of single episodes that a fall has at least."""
POOLED_ROUNDS, LEAST_FREEDOM, POOLED_EPISODES = 10, 5, 10
"""What the sharp scale's noise is pooled over: rounds; with fewer degrees of freedom in them, episodes."""
NEGLIGIBLE = 1e-6
"""Of the returns themselves: below that a fall is rounding."""
STRONGEST = 8.0
"""What z counts at most where the largest fall is looked for."""
UNSTABLE = 20
"""Rounds between falls of what is one stretch of instability."""

SLACK = 0.99
"""For rounding, where what can't be a fall is passed by early."""
BLOCK = 32
"""Boundaries that are decided at once from which on arrays are faster."""

_Z, _SHARE = np.array([scale.z for scale in SCALES]), np.array([scale.share for scale in SCALES])

Place = tuple[int, int, int, int]
"""Scale, where the window before begins, boundary, where the window after ends; by position."""


class Drops:
    """Rule A of a run that goes on: it sees the rounds in order, and decides each boundary once its windows are full.

    At a boundary with mean returns m_b before and m_a after it, z = (m_b - m_a) / sqrt(max(V_b, V_a / 4) / n_b + max(V_a,
    V_b / 4) / n_a), where V is the variance of the returns of single episodes in a window, within and between its rounds. A
    fall has z of at least 4, a quarter of the range of the m_b so far, and half a standard deviation. At the sharp scale it
    is z of 5 and 0.4 of the range, and V the largest of both windows' and of what is pooled over the ten rounds before.

    >>> drops = Drops()
    >>> drops.extend([Round(k, 10, 200.0 if k < 20 else 90.0, 30.0) for k in range(40)])
    True
    >>> [(fall.drop.round, fall.drop.before, fall.drop.after, fall.seen) for chain in drops.chains() for fall in chain]
    [(20, 200.0, 90.0, 20)]
    """

    def __init__(self) -> None:
        self.returns = Returns()
        self.decided = False
        """Whether there were enough episodes to decide any boundary."""
        self._hits: list[Hit] = []
        """Of stretches that may still change."""
        self._settled: list[Chain] = []
        self._next = [1] * len(SCALES)
        """By scale, the first boundary whose later window is not full."""
        self._range = [(math.inf, -math.inf)] * len(SCALES)
        """By scale, lowest and highest mean of a window before a boundary so far."""

    def extend(self, rounds: Sequence[Round]) -> bool:
        """See rounds in which an episode ended; says whether boundaries were found at which the return fell."""
        self.returns.extend(rounds)
        if len(rounds) < BLOCK:
            places = [found for scale in range(len(SCALES)) for found in self._one_by_one(scale)]
        else:
            sums = [np.array(row) for row in self.returns.sums[: SQUARES + 1]]
            places = [found for scale in range(len(SCALES)) for found in self._at_once(scale, *sums)]
        if not places:
            return False
        scale, begins, boundary, ends = np.array(places).T
        with np.errstate(all="ignore"):
            drop, z, spread = self._evidence(scale, begins, boundary, ends)
            hit = (z >= _Z[scale]) & (drop >= SPREADS * spread)
        columns = (boundary, begins, ends, drop, z, drop * np.minimum(z, STRONGEST))
        self._hits += [Hit(*values) for values in zip(*(column[hit].tolist() for column in columns), strict=True)]
        return bool(hit.any())

    def chains(self) -> list[Chain]:
        """The falls so far, those together that are at most `UNSTABLE` rounds apart."""
        found = near(groups(self.returns, self._hits), UNSTABLE)
        earliest, numbers = min(self._next), self.returns.numbers
        following = numbers[earliest] if earliest < len(numbers) else numbers[-1] + 1 if numbers else 0
        # What no later boundary can touch is kept as it is, so that a long run costs no more a round than a short one.
        while found and found[0][-1].ends <= earliest and following - found[0][-1].fall.drop.round > UNSTABLE:
            together = found.pop(0)
            self._settled.append(chain(together))
            self._hits = [hit for hit in self._hits if hit.boundary >= together[-1].ends]
        return [*self._settled, *map(chain, found)]

    @property
    def settled(self) -> int:
        """How many of `chains` no later round can change: the first ones."""
        return len(self._settled)

    def largest(self, left_out: Sequence[tuple[int, int]] = ()) -> Drop | None:
        """The largest fall from one round to the next; None where the return never fell.

        Args:
            left_out: (first, last) rounds of falls that are known, at which no other is looked for.
        """
        returns, numbers = self.returns, np.array(self.returns.numbers)
        falls = -np.diff(returns.means)
        for first, last in left_out:
            falls[(numbers[1:] >= first) & (numbers[1:] <= last)] = 0
        if not len(falls) or not falls.max() > 0:
            return None
        boundary = int(falls.argmax()) + 1
        places = [(scale, *self._windows(scale, boundary)) for scale in range(len(SCALES))]
        full = np.array([place for place in places if place[1] >= 0 and place[3] <= len(returns)]).reshape(-1, 4)
        with np.errstate(all="ignore"):
            z = self._evidence(*full.T)[1]
        return drop_between(returns, boundary - 1, boundary, boundary + 1, max(z[np.isfinite(z)], default=math.inf))

    def _one_by_one(self, scale: int) -> Iterator[Place]:
        """The scale's new boundaries at which a fall is possible."""
        episodes, total, squares, *_ = self.returns.sums
        each, last, (lowest, highest) = SCALES[scale], self._last(scale), self._range[scale]
        for boundary in range(self._next[scale], last + 1):
            begins, _, ends = self._windows(scale, boundary)
            if begins < 0:
                continue
            n_before, n_after = episodes[boundary] - episodes[begins], episodes[ends] - episodes[boundary]
            before = (total[boundary] - total[begins]) / n_before
            after = (total[ends] - total[boundary]) / n_after
            lowest, highest = min(lowest, before), max(highest, before)
            noise = (squares[boundary] - squares[begins]) / n_before - before * before
            self.decided = True
            if self._is_possible(each, before, after, highest - lowest, noise, n_before, n_after):
                yield scale, begins, boundary, ends
        self._next[scale], self._range[scale] = max(self._next[scale], last + 1), (lowest, highest)

    def _at_once(self, scale: int, episodes: Numbers, total: Numbers, squares: Numbers) -> Iterator[Place]:
        """The same for many boundaries; `Returns.sums` as arrays."""
        each, last, (lowest, highest) = SCALES[scale], self._last(scale), self._range[scale]
        boundary = np.arange(self._next[scale], last + 1)
        begins = np.searchsorted(episodes, episodes[boundary] - each.episodes_before, "right") - 1
        begins = np.minimum(begins, boundary - each.rounds_before)
        boundary, begins = boundary[begins >= 0], begins[begins >= 0]
        self._next[scale] = max(self._next[scale], last + 1)
        if not len(boundary):
            return
        self.decided = True
        ends = np.searchsorted(episodes, episodes[boundary] + each.episodes_after, "left")
        ends = np.maximum(ends, boundary + each.rounds_after)
        with np.errstate(all="ignore"):
            n_before, n_after = episodes[boundary] - episodes[begins], episodes[ends] - episodes[boundary]
            before = (total[boundary] - total[begins]) / n_before
            after = (total[ends] - total[boundary]) / n_after
            high = np.maximum(np.fmax.accumulate(before), highest)
            low = np.minimum(np.fmin.accumulate(before), lowest)
            noise = (squares[boundary] - squares[begins]) / n_before - before * before
            possible = self._is_possible(each, before, after, high - low, noise, n_before, n_after)
        self._range[scale] = float(low[-1]), float(high[-1])
        for begin, middle, end in zip(*(column[possible].tolist() for column in (begins, boundary, ends)), strict=True):
            yield scale, begin, middle, end

    def _is_possible(
        self, scale: Scale, before: Any, after: Any, span: Any, noise: Any, n_before: Any, n_after: Any
    ) -> Any:
        """Whether the return falls by enough, and z can be: the noise after is at least a quarter of that before.

        Numbers or arrays: means, the range so far, the variance before (with the divisor n), and how many episodes.
        """
        drop = before - after
        enough = (drop >= scale.share * span) & (drop > NEGLIGIBLE * abs(before + self.returns.origin))
        return enough & (drop * drop >= SLACK * scale.z**2 * noise * (1 / n_before + 0.25 / n_after))

    def _last(self, scale: int) -> int:
        """The last boundary whose later window is full."""
        episodes, each = self.returns.sums[EPISODES], SCALES[scale]
        full = bisect_right(episodes, episodes[-1] - each.episodes_after) - 1
        return min(full, len(self.returns) - each.rounds_after)

    def _windows(self, scale: int, boundary: int) -> tuple[int, int, int]:
        """Where the window before a boundary begins (below 0: nowhere), the boundary, and where the one after it ends."""
        episodes, each = self.returns.sums[EPISODES], SCALES[scale]
        begins = bisect_right(episodes, episodes[boundary] - each.episodes_before) - 1
        ends = bisect_left(episodes, episodes[boundary] + each.episodes_after)
        return min(begins, boundary - each.rounds_before), boundary, max(ends, boundary + each.rounds_after)

    def _evidence(
        self, scale: Places, begins: Places, boundary: Places, ends: Places
    ) -> tuple[Numbers, Numbers, Numbers]:
        """(m,) falls, their z, and the standard deviation of single episodes."""
        before, after = self.returns.windows(begins, boundary), self.returns.windows(boundary, ends)
        n_before, n_after = before[EPISODES], after[EPISODES]
        drop = before[SUM] / n_before - after[SUM] / n_after
        noise_before, noise_after = variance(before), variance(after)
        sharp = scale == 0
        either = np.maximum(noise_before, noise_after)
        either[sharp] = np.maximum(either[sharp], self._pooled(boundary[sharp]))
        in_before = np.where(sharp, either, np.maximum(noise_before, noise_after / 4))
        in_after = np.where(sharp, either, np.maximum(noise_after, noise_before / 4))
        return drop, drop / np.sqrt(in_before / n_before + in_after / n_after), np.sqrt(either)

    def _pooled(self, boundary: Places) -> Numbers:
        """Variance within the ten rounds before; where they hold too few episodes, of the ten episodes before."""
        episodes = self.returns.sums[EPISODES]
        begins = np.array([bisect_right(episodes, episodes[j] - POOLED_EPISODES) - 1 for j in boundary], np.int64)
        rounds = self.returns.windows(np.maximum(boundary - POOLED_ROUNDS, 0), boundary)
        total = np.where(begins >= 0, variance(self.returns.windows(np.maximum(begins, 0), boundary)), np.inf)
        return np.where(rounds[FREEDOM] >= LEAST_FREEDOM, rounds[WITHIN] / rounds[FREEDOM], total)

"""Boundaries at which the return falls become falls: which of them are the same, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.analysis.incidents.returns import EPISODES, Numbers, Returns

EDGE = 0.25
"""Of a fall, that has happened where it is said to begin, and is left where it is said to end."""
SAME = 8
"""Rounds between onsets of what is one fall."""


class Hit(NamedTuple):
    """A boundary that meets the rule at one scale: rounds [begins, boundary) against [boundary, ends), by position."""

    boundary: int
    begins: int
    ends: int
    drop: float
    z: float
    size: float
    """By which the largest of several is found."""


@dataclass(frozen=True)
class Drop:
    """Two windows of rounds beside one another, the later one with the lower return."""

    round: int
    """The first round of the later window."""
    before: float
    after: float
    """Mean returns over the episodes."""
    episodes_before: int
    episodes_after: int
    z: float | None
    """The fall in standard errors; None where the episodes don't differ at all, or are too few."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Fall:
    """A fall of the return, and where it lies."""

    drop: Drop
    first: int
    last: int
    """The first rounds in which a quarter and three quarters of the fall have happened: one round where it is sudden."""
    peak: int
    """The best round of the window before it."""
    seen: int
    """The round after which the rule first knew."""


Chain = tuple[Fall, ...]
"""Falls that are at most `UNSTABLE` rounds apart, in order."""


class Group(NamedTuple):
    """Hits that overlap, as one fall."""

    fall: Fall
    size: float
    ends: int


def groups(returns: Returns, hits: Sequence[Hit]) -> list[Group]:
    """Hits whose later windows overlap are one fall."""
    overlapping: list[list[Hit]] = []
    ends = -1
    for hit in sorted(hits):
        if hit.boundary < ends:
            overlapping[-1].append(hit)
        else:
            overlapping.append([hit])
        ends = max(ends, hit.ends)
    return [_group(returns, group) for group in overlapping]


def near(groups: Sequence[Group], rounds: int) -> list[list[Group]]:
    """Groups whose onsets follow one another within so many rounds, together."""
    found: list[list[Group]] = []
    for group in groups:
        if found and group.fall.drop.round - found[-1][-1].fall.drop.round <= rounds:
            found[-1].append(group)
        else:
            found.append([group])
    return found


def chain(groups: Sequence[Group]) -> Chain:
    """Falls close to one another, those that are the same merged."""
    return tuple(_merged(same) for same in near(groups, SAME))


def _merged(groups: Sequence[Group]) -> Fall:
    falls = [group.fall for group in groups]
    return Fall(
        drop=max(groups, key=lambda group: group.size).fall.drop,
        first=min(fall.first for fall in falls),
        last=max(fall.last for fall in falls),
        peak=falls[0].peak,
        seen=min(fall.seen for fall in falls),
    )


def _group(returns: Returns, hits: Sequence[Hit]) -> Group:
    best = max(hits, key=lambda hit: hit.size)
    known = min(hits, key=lambda hit: (hit.ends, -hit.size))
    drop = drop_between(returns, best.begins, best.boundary, best.ends, best.z)
    # A fall that goes on is at first a smaller one, which is part of it.
    (first, last), (sign, so_far) = _span(returns, best), _span(returns, known)
    begins = min(best.begins, known.begins)
    peak = begins + int(np.argmax(returns.means[begins : max(known.boundary, begins + 1)]))
    fall = Fall(
        drop=drop,
        first=min(first, sign),
        last=max(last, so_far),
        peak=returns.numbers[peak],
        seen=returns.numbers[known.ends - 1],
    )
    return Group(fall, best.size, max(hit.ends for hit in hits))


def _span(returns: Returns, hit: Hit) -> tuple[int, int]:
    """The rounds in which a quarter and three quarters of a fall have happened."""
    episodes, begins, ends = returns.sums[EPISODES], hit.begins, hit.ends
    level = falling(np.array(returns.means[begins:ends]), np.diff(episodes[begins : ends + 1]))
    high = returns.mean(begins, hit.boundary) - returns.origin
    first, last = (int(np.argmax(level <= high - share * hit.drop)) for share in (EDGE, 1 - EDGE))
    return returns.numbers[begins + first], returns.numbers[begins + last]


def drop_between(returns: Returns, begins: int, boundary: int, ends: int, z: float) -> Drop:
    """Rounds [begins, boundary) against [boundary, ends), by position."""
    return Drop(
        round=returns.numbers[boundary],
        before=returns.mean(begins, boundary),
        after=returns.mean(boundary, ends),
        episodes_before=round(returns.episodes(begins, boundary)),
        episodes_after=round(returns.episodes(boundary, ends)),
        z=float(z) if np.isfinite(z) else None,
    )


def falling(values: Numbers, weights: Numbers) -> Numbers:
    """The nearest values that never rise, by weighted squares: those out of order are averaged (Ayer et al., 1955).

    >>> falling(np.array([5.0, 1.0, 3.0, 2.0]), np.array([1.0, 3.0, 1.0, 1.0])).tolist()
    [5.0, 1.6, 1.6, 1.6]

    Args:
        values: (m,)
        weights: (m,) above 0.
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        total, size, count = value * weight, weight, 1
        while blocks and blocks[-1][0] * size < total * blocks[-1][1]:
            before = blocks.pop()
            total, size, count = total + before[0], size + before[1], count + before[2]
        blocks.append((total, size, count))
    return np.repeat([total / size for total, size, _ in blocks], [count for *_, count in blocks])

"""Three episodes to watch: those that show best what an update did, each with why it was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.core.kind import kind_of
from engine.store.snapshot import Snapshot
from engine.store.words import counted


@dataclass(frozen=True)
class PlayedSeed:
    """An episode of each of the two policies, with the same start and the same luck."""

    seed: int
    before: float
    """Return of theta(k)."""
    after: float
    """Return of theta(k+1)."""
    why: str
    """Why it was chosen."""

    @property
    def sentence(self) -> str:
        """What happened, and why it was chosen."""
        return f"Seed {self.seed}: {self.before:.4g} before the update, {self.after:.4g} after it; {self.why}."

    def to_json(self) -> dict[str, Any]:
        """Plain values; it is no recorded episode."""
        return {"episode": None, "records": [], **asdict(self)}


@dataclass(frozen=True)
class RecordedEpisode:
    """An episode of the round as it was recorded."""

    episode: int
    records: tuple[int, ...]
    """In order, as far as they are of this round."""
    returned: float
    """Sum of their rewards."""
    why: str
    """Why it was chosen."""

    @property
    def sentence(self) -> str:
        """What happened, and why it was chosen."""
        return (
            f"Episode {self.episode}: return {self.returned:.4g} in {counted(len(self.records), 'record')}; {self.why}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"episode": self.episode, "records": list(self.records), "return": self.returned, "why": self.why}


Watched: TypeAlias = PlayedSeed | RecordedEpisode


def of_seeds(before: NDArray[np.float64], after: NDArray[np.float64], first: int) -> tuple[PlayedSeed, ...]:
    """Where the return changed most to either side, and where it changed as on most seeds.

    >>> for each in of_seeds(np.array([5.0, 5.0, 5.0]), np.array([4.0, 1.0, 6.0]), first=70):
    ...     print(each.sentence)
    Seed 71: 5 before the update, 1 after it; of all seeds, the return fell most on this one.
    Seed 70: 5 before the update, 4 after it; the median: on half of the seeds the return changed by less, on half by more.
    Seed 72: 5 before the update, 6 after it; of all seeds, the return rose most on this one.

    Args:
        before: (n,) returns of theta(k) on n seeds.
        after: (n,) those of theta(k+1).
        first: the first seed.
    """
    change = after - before

    def why(side: int, i: int) -> str:
        if not side:
            return "the median: on half of the seeds the return changed by less, on half by more"
        moved = "fell" if side < 0 else "rose"
        if side * change[i] > 0:
            return f"of all seeds, the return {moved} most on this one"
        return f"the return {moved} on no seed; this one came closest"

    found = _three(change, why) if change.any() else {0: "on every seed the two policies return the same"}
    return tuple(PlayedSeed(first + i, float(before[i]), float(after[i]), said) for i, said in found.items())


def of_records(snapshot: Snapshot) -> tuple[RecordedEpisode, ...]:
    """The worst, the middle and the best of a round's episodes by their returns; none where records are no steps of episodes.

    Episodes that are whole in the round are preferred, since the others' returns are only parts.
    """
    if not kind_of(snapshot).has_states:
        return ()
    buffer: Any = snapshot.buffer
    number, first, which = np.unique(buffer.episode, return_index=True, return_inverse=True)
    returned: NDArray[np.float64] = np.bincount(which, buffer.reward.astype(np.float64)).astype(np.float64)
    ended = np.bincount(which, buffer.terminated | buffer.truncated) > 0
    whole = np.flatnonzero(ended & ((buffer.t[first] > 0) | (snapshot.round == 0)))
    chosen = whole if len(whole) else np.arange(len(number))
    of_what = "whole episodes" if len(whole) else "episodes, none of which is whole,"

    def why(side: int, _: int) -> str:
        if not side:
            return "the median: half of them return less, half more"
        return f"of the round's {of_what} the one with the {'lowest' if side < 0 else 'highest'} return"

    values = returned[chosen]
    found = _three(values, why) if np.ptp(values) else {0: f"the round's {of_what} all return the same"}
    return tuple(
        RecordedEpisode(
            int(number[chosen[i]]), tuple(np.flatnonzero(which == chosen[i]).tolist()), float(values[i]), said
        )
        for i, said in found.items()
    )


def _three(values: NDArray[np.float64], why: Callable[[int, int], str]) -> dict[int, str]:
    """The smallest, the middle and the largest of n values, by their places; fewer where there are fewer."""
    order = np.argsort(values, kind="stable").tolist()
    low, middle, high = order[0], order[(len(order) - 1) // 2], order[-1]
    found = {low: why(-1, low)}
    if high != low:
        found |= {} if middle in (low, high) else {middle: why(0, middle)}
        found[high] = why(1, high)
    return found

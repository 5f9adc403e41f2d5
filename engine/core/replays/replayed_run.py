"""Does a replay of a recorded round lead to the checkpoint that was recorded after it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.kind import recorded_here
from engine.core.replays.replay import replay
from engine.errors import BadInputError
from engine.store.read import Run
from engine.store.snapshot import parameters_of


@dataclass(frozen=True)
class ReplayedRound:
    """What came of one round."""

    round: int
    equal: bool
    """Bit for bit."""
    largest: float | None
    """Largest difference of a parameter; None where the round could not be replayed."""
    moved: float | None
    """How far the update moved a parameter at most, to hold the difference against."""
    why: str = ""
    """Why it is not equal, or could not be replayed."""

    @property
    def sentence(self) -> str:
        """In words.

        >>> ReplayedRound(3, True, 0.0, 0.01).sentence
        'round 3: replay verified, equal bit for bit'
        """
        if self.equal:
            return f"round {self.round}: replay verified, equal bit for bit"
        if self.largest is None:
            return f"round {self.round}: not replayed: {self.why}"
        return (
            f"round {self.round}: the largest difference is {self.largest:.2g}, and the update moved a parameter by "
            f"{self.moved:.2g} at most{f' ({self.why})' if self.why else ''}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def replay_round(run: Run, k: int) -> ReplayedRound:
    """Replay round k from its files, and compare its parameters with the next checkpoint's.

    >>> import engine
    >>> found = replay_round(engine.open_run("sample_runs/FrozenLake-v1"), 3)  # recorded on another machine
    >>> found.largest < 1e-5 < found.moved
    True
    """
    if k + 1 not in run.checkpoint_rounds:
        return ReplayedRound(k, False, None, None, "the parameters after it were not recorded")
    try:
        snapshot = run.snapshot(k)
        found = parameters_of(replay(snapshot).checkpoint)
        recorded = parameters_of(run.checkpoint(k + 1))
    except BadInputError as error:
        return ReplayedRound(k, False, None, None, str(error))
    before = snapshot.parameters
    equal = all(np.array_equal(found[name], tensor, equal_nan=True) for name, tensor in recorded.items())
    largest, moved = farthest(found, recorded), farthest(recorded, before)
    elsewhere = "" if equal or recorded_here(snapshot) else "recorded on another machine, or with other versions"
    return ReplayedRound(k, equal, largest, moved, elsewhere)


def farthest(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> float:
    """The largest difference of a parameter."""
    return max(float(np.abs(tensor - other[name]).max()) for name, tensor in one.items())


def replay_run(run: Run) -> Iterator[ReplayedRound]:
    """Every round whose records are there, one after the other."""
    for k in run.stored_rounds:
        yield replay_round(run, k)

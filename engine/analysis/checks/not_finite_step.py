"""After which optimizer step of a round's update a parameter is not finite, and which records the step took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.not_finite_records import some
from engine.core.checkpoint import one_thread
from engine.core.kind import kind_of
from engine.core.policy import with_gradients
from engine.core.replays.replay import check_replayable
from engine.store.snapshot import Snapshot, parameters_of


@dataclass(frozen=True)
class NotFiniteStep:
    """The first optimizer step that leads to a parameter that is not finite."""

    number: int
    """Among all steps of the update; this and the others count from 1."""
    epoch: int
    minibatch: int
    """Of its epoch."""
    records: tuple[int, ...]
    """That it took, in order."""

    @property
    def sentence(self) -> str:
        """In words; without its end.

        >>> NotFiniteStep(5, 2, 1, (3, 8)).sentence
        'the first is optimizer step 5 (minibatch 1 of epoch 2), which took the records 3, 8'
        """
        where = f"minibatch {self.minibatch} of epoch {self.epoch}"
        return f"the first is optimizer step {self.number} ({where}), which took the records {some(self.records)}"


@with_gradients
def not_finite_step(snapshot: Snapshot) -> NotFiniteStep | None:
    """The first step that leads to one, by the replay of the update; None where all parameters stay finite.

    Args:
        snapshot: round k, of which theta(k) is finite.

    Raises:
        BadInputError: the update can't be replayed.
    """
    check_replayable(snapshot)
    kind_of(snapshot).check_loadable(snapshot)
    one_thread()
    sound: list[NDArray[np.int32]] = []

    def watch(records: NDArray[np.int32], theta: NDArray[Any], gradient: NDArray[Any]) -> None:
        if np.isfinite(theta).all():
            sound.append(records.copy())

    agent = kind_of(snapshot).agent(snapshot)
    agent.update(snapshot.buffer, snapshot.minibatches, on_gradient=watch)
    if all(np.isfinite(tensor).all() for tensor in parameters_of(agent.tensors()).values()):
        return None
    number = len(sound)
    epoch, minibatch = divmod(number - 1, len(snapshot.config.cuts(len(snapshot.buffer))))
    return NotFiniteStep(number, epoch + 1, minibatch + 1, tuple(np.unique(sound[-1]).tolist()))

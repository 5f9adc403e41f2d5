"""What a policy with an LSTM was shown beside the observation, and how a batch of records becomes sequences of it.

It is kept as parts of the observation, so that whatever has a record's observation has these, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.objective import Batch, RecordObjective
from engine.kinds.recorded.loss import WithValue

PREFIX = "lstm/"
PLACE, STARTS = f"{PREFIX}place", f"{PREFIX}starts"
"""(n,) env * (n_steps + 1) + t, so that a record follows another one where its place is one more; and 1 where an episode starts,
which sets the states to 0."""
STATES = {who: (f"{PREFIX}{who}_hidden", f"{PREFIX}{who}_cell") for who in ("actor", "critic")}
"""(n, layers, size) each, before the step. The critic's are there where it has an LSTM of its own."""


def has_sequences(observation: Any) -> bool:
    """Whether observations, or the parts of their space, are those of a policy with an LSTM."""
    return isinstance(observation, dict) and PLACE in observation


def as_sequences(place: NDArray[np.int64], starts: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) places and starts of a batch -> (sequences, longest) its rows, filled up with -1.

    A record goes on with a sequence where the record before it in its episode is in the batch, above it. So a minibatch of
    RecurrentPPO becomes the trainer's own sequences, in the trainer's order.

    >>> as_sequences(np.array([4, 5, 0, 1, 2]), np.array([0, 0, 0, 0, 1]))
    array([[ 0,  1],
           [ 2,  3],
           [ 4, -1]])
    """
    order = np.argsort(place, kind="stable")
    goes_on = (np.diff(place[order]) == 1) & (np.diff(order) > 0) & (starts[order[1:]] == 0)
    found = sorted(np.split(order, np.flatnonzero(~goes_on) + 1), key=lambda rows: int(rows[0]))
    padded = np.full((len(found), max(map(len, found))), -1)
    for line, rows in zip(padded, found, strict=True):
        line[: len(rows)] = rows
    return padded


class Sequences:
    """A batch of n records as sequences, which are filled up with zeros as the trainer does it."""

    def __init__(self, inputs: dict[str, Tensor]) -> None:
        padded = torch.as_tensor(as_sequences(inputs[PLACE].numpy(), inputs[STARTS].numpy()))
        self.first, self.size = padded[:, 0], padded.numel()
        there = torch.nonzero(padded.ravel() >= 0).ravel()
        self.where = torch.empty_like(there)
        """(n,) where each record stands among all that is filled up."""
        self.where[padded.ravel()[there]] = there

    def fill_up(self, column: Tensor) -> Tensor:
        """(n, ...) -> (sequences * longest, ...)."""
        filled = column.new_zeros((self.size, *column.shape[1:]))
        filled[self.where] = column
        return filled

    def states(self, inputs: dict[str, Tensor], who: str) -> tuple[Tensor, Tensor]:
        """(layers, sequences, size) hidden and cell state each, as they were recorded before a sequence's first step."""
        names = STATES[who] if STATES[who][0] in inputs else STATES["actor"]
        hidden, cell = (inputs[name][self.first].swapaxes(0, 1).contiguous() for name in names)
        return hidden, cell


class InSequences(RecordObjective):
    """The objective of records in sequences: at theta(k) they are those of the first epoch's minibatches."""

    def at_start(self, batch: Batch, minibatches: NDArray[np.int32]) -> Batch:
        """The whole round as the first epoch's minibatches have it: normalised, and each of their sequences by itself.

        Where no minibatches were recorded, sequences begin with the round.
        """
        batch = super().at_start(batch, minibatches)
        if not minibatches.size:
            return batch
        given: WithValue = batch.inputs
        order = torch.as_tensor(minibatches[0], dtype=torch.int64)
        place = given.inputs[PLACE][order]
        step, number = place.diff(prepend=place[:1]), torch.arange(len(order))
        apart = (step != 1) | (number % self.config.batch_size == 0)
        own = torch.empty_like(place)
        own[order] = number + apart.cumsum(0)
        return batch._replace(inputs=given._replace(inputs={**given.inputs, PLACE: own}))

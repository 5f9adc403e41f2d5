"""Batches of records as the sequences that a policy with an LSTM goes through."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from engine.core.objective import Batch, RecordObjective
from engine.kinds.recorded.loss import WithValue
from engine.kinds.recorded.memory import PLACE, PREFIX, STARTS, STATES, as_sequences


class Sequences:
    """Sequences of a batch, each filled up with zeros to the longest, as RecurrentPPO has its minibatches."""

    def __init__(self, inputs: dict[str, Tensor], rows: Sequence[NDArray[np.int64]]) -> None:
        padded = pad_sequence([torch.as_tensor(each) for each in rows], batch_first=True, padding_value=-1)
        self.inputs, self.first, self.size = inputs, padded[:, 0], padded.numel()
        self.where = torch.nonzero(padded.ravel() >= 0).ravel()
        """(m,) which of all that is filled up are records."""
        self.rows = padded.ravel()[self.where]
        """(m,) the records' rows in the batch."""

    def fill_up(self, column: Tensor) -> Tensor:
        """(n, ...) -> (sequences * longest, ...)."""
        filled = column.new_zeros((self.size, *column.shape[1:]))
        filled[self.where] = column[self.rows]
        return filled

    @property
    def seen(self) -> Any:
        """The observations, filled up."""
        parts = {name: self.fill_up(part) for name, part in self.inputs.items() if not name.startswith(PREFIX)}
        return parts["observation"] if parts.keys() == {"observation"} else parts

    @property
    def starts(self) -> Tensor:
        """Whether an episode starts, filled up."""
        return self.fill_up(self.inputs[STARTS]).float()

    def states(self, who: str) -> tuple[Tensor, Tensor]:
        """(layers, sequences, size) hidden and cell states before the first steps; the actor's, where there are no others."""
        names = STATES[who] if STATES[who][0] in self.inputs else STATES["actor"]
        hidden, cell = (self.inputs[name][self.first].swapaxes(0, 1).contiguous() for name in names)
        return hidden, cell


def in_groups(inputs: dict[str, Tensor], together: bool) -> list[Sequences]:
    """The sequences of a batch: together, as the trainer has them, or by similar length, so that little is filled up."""
    found = as_sequences(inputs[PLACE].numpy(), inputs[STARTS].numpy())
    if together:
        return [Sequences(inputs, found)]
    by_length = sorted(found, key=len)
    return [Sequences(inputs, list(rows)) for _, rows in groupby(by_length, key=lambda rows: len(rows).bit_length())]


def in_rows(groups: Sequence[Sequences], parts: Sequence[Tensor]) -> Tensor:
    """(m, ...) of each group's records -> (n, ...) of the batch's."""
    return torch.cat(list(parts))[torch.cat([group.rows for group in groups]).argsort()]


class InSequences(RecordObjective):
    """The objective of records in sequences."""

    def at_start(self, batch: Batch, minibatches: NDArray[np.int32]) -> Batch:
        """The whole round, normalised within the first epoch's minibatches and in their sequences.

        Where no minibatches were recorded, sequences begin with the round.
        """
        batch = super().at_start(batch, minibatches)
        if not minibatches.size:
            return batch
        given: WithValue = batch.inputs
        order = torch.as_tensor(minibatches[0], dtype=torch.int64)
        before, number = given.inputs[PLACE][order], torch.arange(len(order))
        apart = before.diff(prepend=before[:1]) != 1
        apart[[start for start, _ in self.config.cuts(len(order))]] = True
        place = torch.empty_like(before)
        place[order] = number + apart.cumsum(0)
        return batch._replace(inputs=given._replace(inputs={**given.inputs, PLACE: place}))

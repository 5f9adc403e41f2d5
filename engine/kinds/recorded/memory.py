"""What a policy with an LSTM had in memory at each step, and which records follow each other.

It is kept as parts of the observation, so that whatever has a record's observation has these, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PREFIX = "lstm/"
PLACE, STARTS = f"{PREFIX}place", f"{PREFIX}starts"
"""(n,) env * (n_steps + 1) + t, so that a record follows another one where its place is one more; and 1 where an episode starts,
which sets the states to 0."""
STATES = {who: (f"{PREFIX}{who}_hidden", f"{PREFIX}{who}_cell") for who in ("actor", "critic")}
"""(n, layers, size) each, before the step. The critic's are there where it has an LSTM of its own."""


def remembers(observation: Any) -> bool:
    """Whether observations, or the parts of their space, are those of a policy with an LSTM."""
    return isinstance(observation, dict) and PLACE in observation


def as_sequences(place: NDArray[np.int64], starts: NDArray[Any]) -> list[NDArray[np.int64]]:
    """(n,) places and starts of a batch -> the rows of each sequence, by their first rows.

    A record goes on with a sequence where the record before it in its episode is in the batch, above it. So a minibatch of
    RecurrentPPO becomes the trainer's own sequences, in the trainer's order.

    >>> [rows.tolist() for rows in as_sequences(np.array([4, 5, 0, 1, 2]), np.array([0, 0, 0, 0, 1]))]
    [[0, 1], [2, 3], [4]]
    """
    order = np.argsort(place, kind="stable")
    goes_on = (np.diff(place[order]) == 1) & (np.diff(order) > 0) & (starts[order[1:]] == 0)
    return sorted(np.split(order, np.flatnonzero(~goes_on) + 1), key=lambda rows: int(rows[0]))

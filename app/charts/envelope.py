"""A long series by pixel columns: the lowest, mean and highest value of the rounds in each, so that no extreme is lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COLUMNS = 400
"""Of a chart, about one in three pixels; a series of at most so many rounds is drawn as it is."""

Numbers = NDArray[np.float64]
Rounds = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Envelope:
    """A series by columns of consecutive rounds; columns without a value are left out."""

    first: Rounds
    """(m,) the first round of each column that has a value, ..."""
    last: Rounds
    """(m,) ... and the last: the same where a column is a single round."""
    at: Numbers
    """(m,) where it is drawn: in the middle."""
    low: Numbers
    """(m,)"""
    mean: Numbers
    """(m,)"""
    high: Numbers
    """(m,)"""

    def __len__(self) -> int:
        return len(self.at)


def envelope(rounds: Rounds, values: Numbers, edges: Numbers) -> Envelope:
    """A series by the columns between `edges`.

    >>> found = envelope(np.arange(6), np.array([0.0, 4.0, 2.0, np.nan, 7.0, 9.0]), np.array([0, 3, 4, 5]))
    >>> found.first.tolist(), found.last.tolist()
    ([0, 4, 5], [2, 4, 5])
    >>> found.low.tolist(), found.mean.tolist(), found.high.tolist()
    ([0.0, 7.0, 9.0], [2.0, 7.0, 9.0], [4.0, 7.0, 9.0])

    Args:
        rounds: (n,) consecutive.
        values: (n,) NaN or infinite where there is none.
        edges: (m,) where each column begins, in order, the first one not after the first round; see `column_edges`.
    """
    known = np.isfinite(values)
    begins = np.ceil(edges).astype(np.int64)
    ends = np.append(begins[1:] - 1, rounds[-1:])
    values, column = values[known], np.searchsorted(edges, rounds[known], "right") - 1
    if not len(values):
        none = np.zeros(0)
        return Envelope(begins[:0], ends[:0], none, none, none, none)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    counts = np.diff(starts, append=len(values))
    with np.errstate(over="ignore"):  # the mean of huge numbers may overflow, or stray from between them by a rounding
        mean = np.clip(np.add.reduceat(values, starts) / counts, low, high)
    first, last = begins[column[starts]], ends[column[starts]]
    return Envelope(first, last, (first + last) / 2, low, mean, high)


def column_edges(rounds: Rounds, columns: int = COLUMNS) -> Numbers:
    """Where the columns of a chart begin: of equal width, one a round where there are not more rounds.

    >>> column_edges(np.arange(8), 2).tolist(), column_edges(np.arange(3), 4).tolist()
    ([0.0, 4.0], [0.0, 1.0, 2.0])

    Args:
        rounds: (n,) consecutive.
        columns: at most so many.
    """
    if len(rounds) <= columns:
        return rounds.astype(np.float64)
    return np.linspace(rounds[0], rounds[-1] + 1, columns, endpoint=False)

"""Which records of a round hold numbers that are not finite, and where: said in the same words by checks and incidents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.store.words import counted

SHOWN = 5
"""Records that a sentence names."""


@dataclass(frozen=True)
class NotFiniteRecords:
    """Numbers of a round's records that are not finite."""

    columns: tuple[str, ...]
    """In which they are; of several parts, such as those of an observation, each by its name."""
    records: tuple[int, ...]
    """Whose they are, in order."""
    of: int
    """Records of the round."""

    @property
    def sentence(self) -> str:
        """What is wrong, or that nothing is; without its end.

        >>> NotFiniteRecords(("reward", "value"), (4, 7), 32).sentence
        'reward and value are not finite in 2 of 32 records (4, 7)'
        >>> NotFiniteRecords((), (), 32).sentence
        'all numbers of its 32 records are finite'
        """
        if not self.records:
            return f"all numbers of its {counted(self.of, 'record')} are finite"
        *others, last = self.columns
        which = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        return f"{which} not finite in {len(self.records):,} of {counted(self.of, 'record')} ({some(self.records)})"


def not_finite_records(buffer: Any) -> NotFiniteRecords:
    """What is not finite in a round's records; columns that a person gave are not looked at.

    Args:
        buffer: of a round. Of records that are sequences, numbers of tokens are those of their records.
    """
    found = {name: rows for name, column in _columns(buffer) if len(rows := _rows(buffer, column))}
    records = np.unique(np.concatenate([np.zeros(0, np.int64), *found.values()]))
    return NotFiniteRecords(tuple(found), tuple(records.tolist()), len(buffer))


def some(records: NDArray[np.integer] | tuple[int, ...]) -> str:
    """The first of some records, and how many more there are.

    >>> some((3, 5, 8, 9, 12, 15, 17))
    '3, 5, 8, 9, 12 and 2 others'
    """
    shown = ", ".join(str(int(record)) for record in islice(records, SHOWN))
    return shown if len(records) <= SHOWN else f"{shown} and {len(records) - SHOWN:,} others"


def _columns(buffer: Any) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """Those of numbers that need not be finite."""
    for name, values in vars(buffer).items():
        for part, array in values.items() if isinstance(values, dict) else [("", values)]:
            if name != "extra" and isinstance(array, np.ndarray) and array.dtype.kind == "f":
                yield f"{name} {part}".strip().replace("_", " "), array


def _rows(buffer: Any, column: NDArray[np.floating]) -> NDArray[np.int64]:
    """Records with a number in a column that is not finite."""
    if np.isfinite(column).all():
        return np.zeros(0, np.int64)
    rows = np.flatnonzero(~np.isfinite(column).reshape(len(column), -1).all(1))
    if len(column) == len(buffer):
        return rows
    return np.asarray(buffer.record_of_token[rows], np.int64)

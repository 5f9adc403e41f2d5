"""What generalised advantage estimation saw at each step, as far as a round has it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


class Steps(NamedTuple):
    """Steps whose advantage follows from what was recorded: all but those that an unrecorded state came after."""

    record: NDArray[np.int64]
    """(m,) whose step it is."""
    reward: Column
    value: Column
    advantage: Column
    """(m,) not normalised."""
    next_value: Column
    """(m,) V of the state after it; 0 where the episode ended in a terminal state."""
    next_advantage: Column

    def __repr__(self) -> str:
        return f"Steps({len(self.record)})"

    @classmethod
    def of(
        cls,
        reward: NDArray[np.floating],
        value: NDArray[np.floating],
        advantage: NDArray[np.floating],
        following: NDArray[np.int64],
        terminal: NDArray[np.bool_],
        record: NDArray[np.integer] | None = None,
    ) -> Steps:
        """The steps of n that have all of it.

        >>> Steps.of(np.ones(3), np.zeros(3), np.array([2.0, 1, 5]), np.array([1, -1, -1]), np.array([False, True, False]))
        Steps(2)

        Args:
            reward: (n,) as the advantages were made of it, but for a scale.
            value: (n,) V(s).
            advantage: (n,) not normalised.
            following: (n,) index of the next step of the same episode; -1 where there is none in the round.
            terminal: (n,) whether nothing follows, by the environment's word.
            record: (n,) whose step it is; by default they are counted.
        """
        usable = np.flatnonzero(terminal | (following >= 0))
        after, ends = following[usable], terminal[usable]
        of_next = (np.where(ends, 0, column[after]).astype(np.float64) for column in (value, advantage))
        own = (column[usable].astype(np.float64) for column in (reward, value, advantage))
        number = usable if record is None else record[usable].astype(np.int64)
        return cls(number, *own, *of_next)

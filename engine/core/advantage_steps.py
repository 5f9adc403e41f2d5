"""What generalised advantage estimation saw at each step, as far as a round has it, and what it would have made of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.store.snapshot import Float32s

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


class Trajectories(NamedTuple):
    """The N steps of a round, each with the one that follows it in its episode.

    A_t = delta_t + gamma lambda A_{t+1} (Schulman et al. 2016, eq. 16) is solved for the TD errors delta, so that nothing need be
    known of a state after the round, or of how rewards were scaled: the delta of a last step is its advantage.
    """

    reward: Float32s
    """(N,) as recorded."""
    value: Float32s
    """(N,) V(s)."""
    advantage: Float32s
    """(N,) not normalised."""
    following: NDArray[np.int64]
    """(N,) place of the next step of the same episode, a later one; -1 where there is none in the round."""
    terminal: NDArray[np.bool_]
    """(N,) whether nothing follows, by the environment's word."""
    record: NDArray[np.int64]
    """(N,) whose step it is."""

    def __repr__(self) -> str:
        return f"Trajectories({len(self.record)} steps)"

    @property
    def steps(self) -> Steps:
        """Those whose next state is in the round, or which an episode ended with in a terminal state."""
        return Steps.of(self.reward, self.value, self.advantage, self.following, self.terminal, self.record)

    def next_of(self, column: NDArray[np.floating]) -> NDArray[np.floating]:
        """(N,) a column at the step that follows; 0 where none does."""
        return np.where(self.following >= 0, column[self.following], np.zeros_like(column))

    def td_errors(self, decay: float) -> Float32s:
        """(N,) delta_t = A_t - decay A_{t+1}, of the recorded advantages; decay is gamma times lambda.

        With decay .5: advantages [2, 1], the second step the last -> [1.5, 1].
        """
        return (self.advantage - decay * self.next_of(self.advantage)).astype(np.float32)

    def td_errors_of_rewards(self, gamma: float, decay: float) -> Float32s:
        """(N,) r_t + gamma V_{t+1} - V_t of the recorded rewards and values; as `td_errors` where the next state is not known."""
        known = self.terminal | (self.following >= 0)
        found = self.reward + gamma * self.next_of(self.value) - self.value
        return np.where(known, found, self.td_errors(decay)).astype(np.float32)

    def td_errors_of_values(self, value: Float32s, gamma: float, decay: float) -> Float32s:
        """(N,) `td_errors` with other values (N,); V of states that are not in the round stays what it was."""
        more = value.astype(np.float64) - self.value
        return (self.td_errors(decay) + gamma * self.next_of(more) - more).astype(np.float32)

    def advantages(self, delta: Float32s, decay: float) -> Float32s:
        """(N,) A_t = delta_t + decay A_{t+1}: what TD errors (N,) add up to; the inverse of `td_errors`."""
        found, following = delta.astype(np.float64).tolist(), self.following.tolist()
        for t in reversed(range(len(found))):
            if following[t] >= 0:
                found[t] += decay * found[following[t]]
        return np.array(found, np.float32)

"""The episodes of a training: their numbers, and what each came to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.objective import explained_variance
from engine.kinds.recorded.snapshot import RecordedBuffer


class Episodes:
    """Of one training, step by step and round after round; an episode may go on in the next round."""

    def __init__(self) -> None:
        self._running: NDArray[np.int64] | None = None
        self._open: NDArray[np.int64] = np.zeros(0, np.int64)
        """Those that have begun, and of which nothing says yet that they have ended."""
        self._sums: NDArray[Any] = np.zeros(0)
        self._lengths: NDArray[Any] = np.zeros(0)

    def numbers(self, begins: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(T, E) whether an episode begins at each of the next steps -> (T, E) their episodes, unique within the run."""
        if self._running is None:
            self._running, begins = np.arange(begins.shape[1]), np.vstack([np.zeros_like(begins[:1]), begins[1:]])
        following = self._running.max() + np.cumsum(begins).reshape(begins.shape)
        found = np.maximum.accumulate(np.vstack([self._running, np.where(begins, following, 0)]))
        self._running = found[-1]
        return np.asarray(found[1:], np.int64)

    def left(self, number: NDArray[np.int64]) -> None:
        """All but (E,) these were reset before their end; they are never told of."""
        goes_on = np.isin(self._open, number)
        self._open, self._sums, self._lengths = self._open[goes_on], self._sums[goes_on], self._lengths[goes_on]

    def passed(
        self,
        number: NDArray[np.int64],
        reward: NDArray[Any],
        counted: NDArray[np.bool_],
        over: NDArray[np.bool_],
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Undiscounted return and length of each episode that ended with the next steps, also of those that began before them.

        Args:
            number: (T, E) of their episodes.
            reward: (T, E) raw.
            counted: (T, E) whether it is a step, and no phantom between two episodes.
            over: (E,) whether the last step is known to have ended its episode; else the steps to come tell.
        """
        known, at = np.unique(np.concatenate([self._open, number.ravel()]), return_inverse=True)
        sums = np.bincount(at, np.concatenate([self._sums, reward.ravel()]))
        lengths = np.bincount(at, np.concatenate([self._lengths, counted.ravel()]))
        goes_on = np.isin(known, number[-1][~over])
        self._open, self._sums, self._lengths = known[goes_on], sums[goes_on], lengths[goes_on]
        ended = ~goes_on & (lengths > 0)
        return sums[ended], lengths[ended]

    def metrics(self, buffer: RecordedBuffer, over: NDArray[np.bool_]) -> dict[str, Any]:
        """What a round's commit says of the episodes that ended in it, and of its critic; `over` as in `passed`."""
        valid = np.ones(len(buffer), bool) if buffer.valid is None else buffer.valid
        steps = -1, len(over)
        returns, lengths = self.passed(
            buffer.episode.reshape(steps), buffer.reward.reshape(steps), valid.reshape(steps), over
        )
        some = len(returns) > 0
        return {
            "records": len(buffer),
            "episodes": len(returns),
            "mean_return": float(returns.mean()) if some else None,
            "std_return": float(returns.std()) if some else None,
            "mean_length": float(lengths.mean()) if some else None,
            "explained_variance": explained_variance(buffer.value, buffer.returns),
        }

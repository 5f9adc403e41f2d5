"""The episodes of a loop that says at which steps they begin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kinds.recorded.snapshot import RecordedBuffer
from engine.recording.watched_rollout import episode_metrics


class BegunEpisodes:
    """Their numbers and what they came to; an episode may go on in the next round."""

    def __init__(self) -> None:
        self._running: NDArray[np.int64] | None = None
        self._sums: NDArray[np.float64] = np.zeros(0)
        self._lengths: NDArray[np.int64] = np.zeros(0, np.int64)

    def numbers(self, begins: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(T, E) whether an episode begins -> (T * E,) episode numbers, unique within the run."""
        steps, n_envs = begins.shape
        if self._running is None:
            self._running = np.arange(n_envs)
            begins = begins.copy()
            begins[0] = False
        numbers, running = np.zeros((steps, n_envs), np.int64), self._running.copy()
        following = int(running.max()) + 1
        for t in range(steps):
            for i in np.flatnonzero(begins[t]):
                running[i], following = following, following + 1
            numbers[t] = running
        self._running = running
        return numbers.ravel()

    def metrics(self, buffer: RecordedBuffer, begins: NDArray[np.bool_]) -> dict[str, Any]:
        """Of the episodes that ended in a round, (T, E), and of its critic."""
        steps, n_envs = begins.shape
        if not len(self._sums):
            self._sums, self._lengths = np.zeros(n_envs), np.zeros(n_envs, np.int64)
        rewards, finished = buffer.reward.reshape(steps, n_envs), list[tuple[float, int]]()
        phantom = np.zeros((steps, n_envs), bool) if buffer.valid is None else ~buffer.valid.reshape(steps, n_envs)
        for t in range(steps):
            for i in np.flatnonzero(begins[t] & (self._lengths > 0)):
                finished.append((float(self._sums[i]), int(self._lengths[i])))
                self._sums[i] = self._lengths[i] = 0
            self._sums += rewards[t]
            self._lengths += ~phantom[t]
        return episode_metrics(finished, buffer)

"""The columns of a rollout that a trainer's buffer does not have, or not as they were: raw rewards, ends, episodes, extras."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kinds.recorded.snapshot import RecordedBuffer
from engine.recording.episodes import Episodes
from engine.recording.policy_inputs import flat, observations_of


class Rollout:
    """One round of a model, while it is collected. A step only notes what is gone after it: training waits for it."""

    def __init__(self, model: Any, info: Sequence[str], episodes: Episodes) -> None:
        """Before its first step; `episodes` are those of the training, `info` names the extra columns."""
        self._began, self._episodes = time.perf_counter(), episodes
        self._buffer = model.rollout_buffer
        shape = self._buffer.buffer_size, self._buffer.n_envs
        self.first = episodes.numbers(np.asarray(model._last_episode_starts, bool)[None])[0]
        """(n_envs,) the episodes of the first step."""
        episodes.left(self.first)
        self._t = 0
        self._reward, self._done, self._cut = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
        self._extra = {name: np.full(shape, math.nan) for name in info}

    def step(self, rewards: Any, dones: Any, infos: Sequence[dict[str, Any]]) -> None:
        """Note a step of every environment."""
        self._reward[self._t], self._done[self._t] = rewards, dones
        if True in dones.tolist():  # a tenth of the time that `any` takes
            self._cut[self._t] = [bool(info.get("TimeLimit.truncated", False)) for info in infos]
        for name, column in self._extra.items():
            column[self._t] = [_number(info.get(name)) for info in infos]
        self._t += 1

    def buffer(self, model: Any) -> RecordedBuffer:
        """B(k): record t * n_envs + env."""
        theirs, done = self._buffer, self._done
        n_steps, n_envs = done.shape
        t, env = (column.ravel() for column in np.indices(done.shape))
        action = flat(theirs.actions)
        discrete = type(theirs.action_space).__name__ == "Discrete"
        return RecordedBuffer(
            env=env.astype(np.int16),
            t=t.astype(np.int32),
            episode=self._numbers().ravel(),
            observation=observations_of(model),
            action=action[:, 0].astype(np.int64) if discrete else action.astype(np.float32),
            reward=self._reward.ravel(),
            terminated=(done & ~self._cut).ravel(),
            truncated=(done & self._cut).ravel(),
            value=flat(theirs.values),
            log_prob=flat(theirs.log_probs),
            advantage=flat(theirs.advantages),
            returns=flat(theirs.returns),
            kept=np.ones(n_steps * n_envs, bool),
            critic_kept=np.ones(n_steps * n_envs, bool),
            repaired=np.zeros(n_steps * n_envs, bool),
            extra={name: column.ravel() for name, column in self._extra.items()},
        )

    def break_off(self) -> None:
        """It ends before its time and is no round, but its episodes may go on."""
        if t := self._t:
            self._episodes.passed(self._numbers(), self._reward[:t], np.ones_like(self._done[:t]), self._done[t - 1])

    def never(self) -> list[str]:
        """The keys of `info` that no step had a number for."""
        return [name for name, column in self._extra.items() if np.isnan(column).all()]

    def metrics(self, buffer: RecordedBuffer) -> dict[str, Any]:
        """Of the episodes that ended in the round, of the critic, and how long it took."""
        return self._episodes.metrics(buffer, self._done[-1]) | {"collect_seconds": time.perf_counter() - self._began}

    def _numbers(self) -> NDArray[np.int64]:
        """(steps, n_envs) of the episodes of what was noted."""
        return np.vstack([self.first, self._episodes.numbers(self._done[: self._t - 1])])


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan

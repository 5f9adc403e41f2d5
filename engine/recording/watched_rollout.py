"""The columns of a rollout that a trainer's buffer does not have, or not as they were: raw rewards, episodes, ends, extras."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.objective import explained_variance
from engine.kinds.recorded.snapshot import RecordedBuffer
from engine.recording.policy_inputs import flat, observations_of
from engine.store.snapshot import Float32s


class Running:
    """The episodes that are being played, one an environment."""

    def __init__(self, n_envs: int, first: int) -> None:
        self.number: NDArray[np.int64] = first + np.arange(n_envs)
        self.next = first + n_envs
        self.reward_sum, self.length = np.zeros(n_envs), np.zeros(n_envs, np.int64)

    def step(self, rewards: Any, dones: Any) -> list[tuple[float, int]]:
        """Take a step each; returns what the episodes that ended with it came to."""
        self.reward_sum += rewards
        self.length += 1
        if not dones.any():
            return []
        which = np.flatnonzero(dones)
        ended = [(float(self.reward_sum[i]), int(self.length[i])) for i in which]
        self.number = self.number.copy()  # columns hold the one before
        for i in which:
            self.number[i], self.next = self.next, self.next + 1
            self.reward_sum[i] = self.length[i] = 0
        return ended


@dataclass
class Rollout:
    """The columns of a round that the trainer's buffer has not, or not as they were."""

    reward: list[Float32s]
    done: list[NDArray[np.bool_]]
    truncated: list[NDArray[np.bool_]]
    episode: list[NDArray[np.int64]]
    extra: dict[str, list[NDArray[np.float64]]]
    finished: list[tuple[float, int]]
    """Undiscounted return and length of each episode that ended in the round, also of those that began before it."""
    began: float

    @classmethod
    def begin(cls, info: tuple[str, ...]) -> Rollout:
        """Before its first step."""
        return cls([], [], [], [], {name: [] for name in info}, [], time.perf_counter())

    def step(self, rewards: Any, dones: Any, infos: Sequence[dict[str, Any]], running: Running) -> None:
        """Note a step of every environment, and that the running episodes have made it."""
        self.reward.append(np.array(rewards, np.float32))
        self.done.append(np.array(dones, bool))
        cut = [bool(info.get("TimeLimit.truncated", False)) for info in infos] if dones.any() else [False] * len(infos)
        self.truncated.append(np.array(cut))
        self.episode.append(running.number)
        for name, column in self.extra.items():
            column.append(np.array([_number(info.get(name)) for info in infos]))
        self.finished += running.step(rewards, dones)

    def buffer(self, model: Any) -> RecordedBuffer:
        """B(k): record t * n_envs + env."""
        theirs = model.rollout_buffer
        n_steps, n_envs = theirs.buffer_size, theirs.n_envs
        t, env = (column.ravel() for column in np.indices((n_steps, n_envs)))
        done, truncated = np.stack(self.done).ravel(), np.stack(self.truncated).ravel()
        action = flat(theirs.actions)
        discrete = type(theirs.action_space).__name__ == "Discrete"
        return RecordedBuffer(
            env=env.astype(np.int16),
            t=t.astype(np.int32),
            episode=np.stack(self.episode).ravel(),
            observation=observations_of(model),
            action=action[:, 0].astype(np.int64) if discrete else action.astype(np.float32),
            reward=np.stack(self.reward).ravel(),
            terminated=done & ~truncated,
            truncated=done & truncated,
            value=flat(theirs.values),
            log_prob=flat(theirs.log_probs),
            advantage=flat(theirs.advantages),
            returns=flat(theirs.returns),
            kept=np.ones(n_steps * n_envs, bool),
            critic_kept=np.ones(n_steps * n_envs, bool),
            extra={name: np.stack(column).ravel() for name, column in self.extra.items()},
        )

    def never(self) -> list[str]:
        """The keys of `info` that no step had a number for."""
        return [name for name, column in self.extra.items() if np.isnan(column).all()]

    def metrics(self, buffer: RecordedBuffer) -> dict[str, Any]:
        """Of the episodes that ended in the round, and of the critic."""
        return episode_metrics(self.finished, buffer) | {"collect_seconds": time.perf_counter() - self.began}


def episode_metrics(finished: Sequence[tuple[float, int]], buffer: RecordedBuffer) -> dict[str, Any]:
    """What a round's commit says of (return, length) of the episodes that ended in it, and of the critic."""
    returns, lengths = np.array(finished, np.float64).reshape(-1, 2).T
    some = len(returns) > 0
    return {
        "records": len(buffer),
        "episodes": len(returns),
        "mean_return": float(returns.mean()) if some else None,
        "std_return": float(returns.std()) if some else None,
        "mean_length": float(lengths.mean()) if some else None,
        "explained_variance": explained_variance(buffer.value, buffer.returns),
    }


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan

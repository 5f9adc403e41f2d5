"""Observations and rewards brought to unit scale by running statistics, as Stable-Baselines3's VecNormalize does it.

Observations are centred, divided by their standard deviation and clipped. Rewards are not centred: they are divided by the
standard deviation of the running discounted return, and clipped. The statistics are updated at every step of training,
before they are used on what that step brought; an evaluation uses them as they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.errors import BadInputError, DamagedRunError
from engine.spaces import Space
from engine.store.snapshot import Float32s

CLIP = 10.0
"""Normalised numbers lie in [-CLIP, CLIP]."""
EPSILON = 1e-8
"""Added to a variance before its root is taken."""


@dataclass
class Moments:
    """Mean and variance of all values so far. It begins with mean 0 and variance 1, at the weight of 1/10000 value."""

    mean: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    var: NDArray[np.float64] = field(default_factory=lambda: np.ones(()))
    count: float = 1e-4

    def update(self, values: NDArray[Any]) -> None:
        """Take in (m, ...) values (Chan et al. 1979: the moments of two sets from the moments of each)."""
        mean, var, count = values.mean(axis=0), values.var(axis=0), len(values)
        total = self.count + count
        delta = mean - self.mean
        squares = self.var * self.count + var * count + np.square(delta) * self.count * count / total
        self.mean = self.mean + delta * count / total
        self.var = squares / total
        self.count = total


class Normalizer:
    """The running statistics of a run: of its observations, of its discounted returns, or of both."""

    def __init__(self, config: TrainConfig) -> None:
        self.gamma = config.gamma
        self.moments = {
            name: Moments()
            for name, wanted in (("observation", config.normalize_observation), ("return", config.normalize_reward))
            if wanted
        }
        self.returns: NDArray[np.float64] = np.zeros(config.n_envs)
        """(n_envs,) discounted rewards of the running episodes."""

    def seen(self, space: Space) -> Space:
        """What the network sees where the environment shows `space`.

        Raises:
            BadInputError: observations are to be normalised, and these have no mean.
        """
        if "observation" not in self.moments:
            return space
        if space.encoder != "flatten":
            kind = "images" if space.encoder == "image" else "discrete"
            raise BadInputError(f"normalize_observation is on, but the observations are {kind}; switch it off")
        bound = (CLIP,) * int(np.prod(space.shape))
        return replace(space, dtype="float32", low=tuple(-b for b in bound), high=bound)

    def reset(self, observation: NDArray[Any]) -> None:
        """Take in the (n_envs, ...) observations that the first episodes begin with."""
        if "observation" in self.moments:
            self.moments["observation"].update(observation)

    def step(self, observation: NDArray[Any], reward: Float32s, done: NDArray[np.bool_]) -> Float32s:
        """Take in a step of all environments.

        Args:
            observation: (n_envs, ...) as shown; the first of the next episode where one ended.
            reward: (n_envs,) raw.
            done: (n_envs,) the episode ended at this step.

        Returns:
            (n_envs,) the rewards that advantages are made of.
        """
        self.reset(observation)
        if "return" not in self.moments:
            return reward
        self.returns = self.returns * self.gamma + reward
        self.moments["return"].update(self.returns)
        self.returns[done] = 0
        return self.scale(reward).astype(np.float32)

    def scale(self, reward: Any) -> NDArray[Any]:
        """Raw rewards -> as advantages are made of them, by the statistics as they stand."""
        if "return" not in self.moments:
            return np.asarray(reward)
        return np.clip(reward / np.sqrt(self.moments["return"].var + EPSILON), -CLIP, CLIP)

    def normalize(self, observation: Any) -> Any:
        """(..., *shape) observations as shown -> as the network sees them, by the statistics as they stand.

        Those of several parts, a dict, part by part.
        """
        if isinstance(observation, dict):
            return {name: self._centred(part, f"observation/{name}") for name, part in observation.items()}
        return self._centred(observation, "observation")

    def _centred(self, observation: NDArray[Any], name: str) -> NDArray[Any]:
        if name not in self.moments:
            return observation
        moments = self.moments[name]
        return np.clip((observation - moments.mean) / np.sqrt(moments.var + EPSILON), -CLIP, CLIP).astype(np.float32)

    def statistics(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Tensors `<prefix>{observation,return}_{mean,var,count}`."""
        return {
            f"{prefix}{name}_{part}": np.array(value, np.float64)
            for name, moments in self.moments.items()
            for part, value in vars(moments).items()
        }

    def state(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The statistics, and what the running episodes have added to them: `<prefix>returns`."""
        return self.statistics(prefix) | {f"{prefix}returns": self.returns.copy()}

    def load(self, tensors: Mapping[str, NDArray[Any]], prefix: str) -> None:
        """Go back to what `statistics` or `state` gave, or to a set a part, which another trainer's run may have.

        Raises:
            DamagedRunError: it is not there.
        """
        of_parts = [key for key in tensors if key.startswith(f"{prefix}observation/") and key.endswith("_mean")]
        if of_parts and "observation" in self.moments:
            del self.moments["observation"]
            self.moments |= {key.removeprefix(prefix).removesuffix("_mean"): Moments() for key in of_parts}
        for name in self.moments:
            parts = [f"{prefix}{name}_{part}" for part in ("mean", "var", "count")]
            if not tensors.keys() >= set(parts) or tensors[parts[2]].size != 1:
                raise DamagedRunError(
                    f"the checkpoint has no statistics {prefix}{name}, and the run normalises by them"
                )
            mean, var, count = (tensors[part].copy() for part in parts)
            self.moments[name] = Moments(mean, var, float(count))
        if f"{prefix}returns" in tensors:
            self.returns = tensors[f"{prefix}returns"].copy()


def begin_normalizer(config: TrainConfig) -> Normalizer | None:
    """A fresh normaliser, or None if the configuration asks for none."""
    return Normalizer(config) if config.normalize_observation or config.normalize_reward else None


def normalizer_at(config: TrainConfig, checkpoint: Mapping[str, NDArray[Any]]) -> Normalizer | None:
    """The normaliser as it stood when the checkpoint was taken; None if the run has none."""
    normalizer = begin_normalizer(config)
    if normalizer is not None:
        normalizer.load(checkpoint, "normalizer/")
    return normalizer

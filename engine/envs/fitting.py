"""An environment brought to what runs record of it: spaces described or refused, and values that keep to them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from engine.errors import BadInputError, UnfitSpaceError
from engine.spaces import LARGEST_SPACE, MOST_CHOICES, Space

MOST_BOUNDS = 1024
"""Numbers of an observation up to which its bounds are kept."""


class Fitted(gym.Wrapper[Any, Any, Any, Any]):
    """Discrete values count from 0, whatever the environment counts from; observations are held to their space."""

    def __init__(self, env: gym.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        self.name = name
        self._firsts = [_first(space) for space in (env.observation_space, env.action_space)]
        self.observation_space = _from_zero(env.observation_space)
        self.action_space = _from_zero(env.action_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment; errors as `step`."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._fits(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment, an action counted from 0.

        Raises:
            BadInputError: an observation is not of its space.
        """
        chosen = action + self._firsts[1] if self._firsts[1] else action
        observation, *outcome = self.env.step(chosen)
        return self._fits(observation), *outcome

    def _fits(self, observation: Any) -> Any:
        space = self.observation_space
        if isinstance(space, gym.spaces.Discrete):
            number = int(observation) - self._firsts[0]
            if not 0 <= number < space.n:
                raise BadInputError(
                    f"{self.name} shows {observation}, which is not in its space {self.env.observation_space}"
                )
            return number
        if np.shape(observation) != space.shape:
            raise BadInputError(
                f"{self.name} shows an observation of shape {np.shape(observation)}; its space says {space.shape}"
            )
        return np.asarray(observation, space.dtype)


def described(space: gym.Space[Any], names: tuple[str, ...], what: str) -> Space:
    """What `run.json` says of a space.

    Args:
        space: Gymnasium's.
        names: of its values or numbers; may be empty.
        what: `observation` or `action`.

    Raises:
        BadInputError: there is no network for it here; says what can be done.
    """
    if isinstance(space, gym.spaces.Discrete):
        if space.n > MOST_CHOICES:
            raise BadInputError(f"the {what} space has {space.n} values; it may have {MOST_CHOICES:,}")
        return Space("discrete", n=int(space.n), names=names)
    if not isinstance(space, gym.spaces.Box):
        raise UnfitSpaceError(
            f"the {what} space {' '.join(str(space).split())[:200]} is not supported; Discrete and Box are: name a function "
            "that wraps the environment so with --make"
        )
    dtype, size = np.dtype(space.dtype), int(np.prod(space.shape, dtype=np.int64))
    if what == "action" and dtype.kind != "f":
        raise BadInputError(
            f"the action space is a Box of {dtype.name}; numbers to be chosen must be floats, or use Discrete"
        )
    if dtype == np.uint8 and len(space.shape) > 3:
        raise BadInputError(
            f"the observation space has bytes of shape {space.shape}; an image has height, width and at most one axis of channels"
        )
    if not 1 <= size <= LARGEST_SPACE or len(space.shape) > 32:
        raise BadInputError(f"the {what} space has {size} numbers; it must have 1 to {LARGEST_SPACE:,}")
    keeps_bounds = what == "action" or size <= MOST_BOUNDS
    low, high = (tuple(map(float, bound.ravel())) if keeps_bounds else () for bound in (space.low, space.high))
    return Space("box", shape=tuple(space.shape), dtype=dtype.name, low=low, high=high, names=names)


def _first(space: gym.Space[Any]) -> int:
    return int(space.start) if isinstance(space, gym.spaces.Discrete) else 0


def _from_zero(space: gym.Space[Any]) -> gym.Space[Any]:
    return gym.spaces.Discrete(int(space.n)) if isinstance(space, gym.spaces.Discrete) else space

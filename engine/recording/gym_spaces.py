"""Gymnasium's spaces as the run format says them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from engine.errors import BadInputError
from engine.spaces import Space


def observed(space: gym.Space[Any]) -> Space:
    """The space of observations as a trainer's buffer holds them.

    Raises:
        BadInputError: it is none of Box, Discrete, MultiDiscrete, MultiBinary and a Dict of these.
    """
    match space:
        case gym.spaces.Discrete():
            return Space("discrete", n=int(space.n))
        case gym.spaces.Box() | gym.spaces.MultiDiscrete() | gym.spaces.MultiBinary():
            return Space("box", shape=tuple(space.shape), dtype=np.dtype(space.dtype).name)
        case gym.spaces.Dict() if not any(isinstance(part, gym.spaces.Dict) for part in space.values()):
            return Space("dict", dtype="float32", parts={str(name): observed(part) for name, part in space.items()})
    raise BadInputError(
        f"observations of {str(space)[:60]} can't be recorded; Box, Discrete, MultiDiscrete, MultiBinary and Dict can"
    )


def acted(space: gym.Space[Any]) -> Space:
    """The space of actions: whole numbers of a Discrete space, else a row of numbers.

    Raises:
        BadInputError: it is none of Discrete, Box, MultiDiscrete and MultiBinary.
    """
    match space:
        case gym.spaces.Discrete():
            return Space("discrete", n=int(space.n))
        case gym.spaces.Box():
            low, high = space.low.ravel(), space.high.ravel()
        case gym.spaces.MultiDiscrete() if space.nvec.ndim == 1:
            low, high = np.zeros(len(space.nvec)), space.nvec - 1
        case gym.spaces.MultiBinary():
            low, high = np.zeros(int(np.prod(space.n))), np.ones(int(np.prod(space.n)))
        case _:
            raise BadInputError(
                f"actions of {str(space)[:60]} can't be recorded; Discrete, Box, MultiDiscrete, MultiBinary can"
            )
    least, most = (tuple(map(float, values)) for values in (low, high))
    return Space("box", shape=(len(low),), dtype="float32", low=least, high=most)

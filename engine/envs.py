"""The catalogue: one entry per supported environment. Nothing else in the engine knows an environment by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from engine.config import TrainConfig
from engine.errors import BadInputError
from engine.spaces import Space

DEFAULT_PRESET = "paper"


@dataclass(frozen=True)
class Environment:
    """One environment: how to make it, what its numbers are called, and good settings for it."""

    name: str
    """Name in the catalogue, on the command line and in `run.json` (`env_id`)."""
    gym_id: str
    """Gymnasium id."""
    description: str
    """One line for people."""
    observation_names: tuple[str, ...]
    """Names of the components of a box observation, or of the values of a discrete one."""
    action_names: tuple[str, ...]
    """Names of the discrete actions, or of the components of a continuous one."""
    presets: Mapping[str, Mapping[str, Any]]
    """Preset name -> fields of `TrainConfig` that differ from the defaults."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of `gymnasium.make`."""

    def make(self) -> gym.Env[Any, Any]:
        """A fresh environment."""
        return gym.make(self.gym_id, disable_env_checker=True, **self.options)

    def spaces(self) -> tuple[Space, Space]:
        """Observation space and action space, with names."""
        env = self.make()
        try:
            return (
                _describe(env.observation_space, self.observation_names),
                _describe(env.action_space, self.action_names),
            )
        finally:
            env.close()


def _describe(space: gym.Space[Any], names: tuple[str, ...]) -> Space:
    if isinstance(space, gym.spaces.Discrete):
        return Space("discrete", n=int(space.n), names=names)
    if isinstance(space, gym.spaces.Box):
        return Space(
            "box",
            shape=tuple(space.shape),
            dtype=np.dtype(space.dtype).name,
            low=tuple(float(x) for x in space.low.ravel()),
            high=tuple(float(x) for x in space.high.ravel()),
            names=names,
        )
    raise BadInputError(f"the space {space} is not supported; Discrete and Box are")


_GRID = tuple(f"row {cell // 4}, column {cell % 4}" for cell in range(16))
_FROZEN_LAKE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"rounds": 30, "optimizer": "sgd", "learning_rate": 5e-3},
    "default": {"rounds": 30},
}

CATALOGUE: Mapping[str, Environment] = {
    entry.name: entry
    for entry in (
        Environment(
            name="CartPole-v1",
            gym_id="CartPole-v1",
            description="keep a pole upright on a cart; return = steps survived, at most 500",
            observation_names=("cart position", "cart velocity", "pole angle", "pole angular velocity"),
            action_names=("push left", "push right"),
            presets={
                "paper": {"rounds": 25},
                "default": {"rounds": 25},
                "tuned": {
                    "rounds": 70,
                    "n_envs": 8,
                    "n_steps": 256,
                    "batch_size": 256,
                    "n_epochs": 20,
                    "learning_rate": 1e-3,
                    "gamma": 0.98,
                    "gae_lambda": 0.8,
                },
            },
        ),
        Environment(
            name="FrozenLake-v1",
            gym_id="FrozenLake-v1",
            description="4x4 grid with holes, not slippery; return 1 at the goal, else 0",
            observation_names=_GRID,
            action_names=("left", "down", "right", "up"),
            presets=_FROZEN_LAKE_PRESETS,
            options={"map_name": "4x4", "is_slippery": False},
        ),
        Environment(
            name="FrozenLake-v1-slippery",
            gym_id="FrozenLake-v1",
            description="4x4 grid with holes, slippery: two moves in three go sideways; best possible 0.74",
            observation_names=_GRID,
            action_names=("left", "down", "right", "up"),
            presets=_FROZEN_LAKE_PRESETS,
            options={"map_name": "4x4", "is_slippery": True},
        ),
        Environment(
            name="Acrobot-v1",
            gym_id="Acrobot-v1",
            description="swing a two-link arm above a line; return = -1 per step, at worst -500",
            observation_names=(
                "cos of joint 1",
                "sin of joint 1",
                "cos of joint 2",
                "sin of joint 2",
                "angular velocity 1",
                "angular velocity 2",
            ),
            action_names=("torque -1", "torque 0", "torque +1"),
            presets={"paper": {"rounds": 20}, "default": {"rounds": 20}},
        ),
        Environment(
            name="LunarLander-v3",
            gym_id="LunarLander-v3",
            description="land between two flags; 200 counts as solved, a crash costs 100",
            observation_names=(
                "x",
                "y",
                "x velocity",
                "y velocity",
                "angle",
                "angular velocity",
                "left leg touches",
                "right leg touches",
            ),
            action_names=("nothing", "left engine", "main engine", "right engine"),
            presets={
                "paper": {"rounds": 100, "learning_rate": 1e-3},
                "default": {"rounds": 100},
            },
        ),
    )
}


def find(name: str) -> Environment:
    """The catalogue entry called `name`.

    Raises:
        BadInputError: there is none; the message names the nearest ones. No other module is ever imported.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise BadInputError(f"unknown environment {name!r}; {hint}The catalogue has {', '.join(CATALOGUE)}")


def preset(env_id: str, name: str = DEFAULT_PRESET, **overrides: Any) -> TrainConfig:
    """Settings for an environment: the preset's, with `overrides` on top.

    >>> preset("FrozenLake-v1", rounds=3).optimizer
    'sgd'

    Raises:
        BadInputError: unknown environment, preset or field.
    """
    return with_settings(env_id, name, overrides)


def with_settings(env_id: str, preset_name: str, settings: Mapping[str, Any]) -> TrainConfig:
    """`preset`, with the settings as a mapping."""
    entry = find(env_id)
    if preset_name not in entry.presets:
        raise BadInputError(f"{env_id} has no preset {preset_name!r}; it has {', '.join(entry.presets)}")
    if "env_id" in settings:
        raise BadInputError("env_id is not a setting; name the environment itself")
    return TrainConfig.from_json({"env_id": env_id, **entry.presets[preset_name], **settings})

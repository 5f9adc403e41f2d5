"""Tiny worlds whose right answer is known, and snapshots of them that no catalogue entry can give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import engine
from engine.config import TrainConfig
from engine.core.update import as_batch
from engine.envs import CATALOGUE, Environment
from engine.envs.environment import StateAccess
from engine.kinds.control.agents import begin_agent
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.networks import ActorCritic
from engine.kinds.control.normalization import begin_normalizer
from engine.kinds.control.snapshot import RolloutBuffer
from engine.kinds.control.stepper import VectorEnvironment
from engine.store.read import Run
from engine.store.snapshot import Snapshot

ENTRIES = [pytest.param(name, marks=pytest.mark.slow) if name == "highway-v0" else name for name in CATALOGUE]
"""The catalogue to test on; what is true of highway-fast-v0 is seldom false of the one that is not fast."""


class IdentityWorld(gym.Env[Any, Any]):
    """The right action is the observation: reward 1, else 0. Episodes never end by themselves."""

    def __init__(self, n: int = 4, render_mode: str | None = None) -> None:
        self.n = n
        self.observation_space = gym.spaces.Discrete(n)
        self.action_space = gym.spaces.Discrete(n)
        self.shown = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.shown = int(self.np_random.integers(self.n))
        return self.shown, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        reward = float(action == self.shown)
        self.shown = int(self.np_random.integers(self.n))
        return self.shown, reward, False, False, {}


class FollowWorld(gym.Env[np.ndarray, np.ndarray]):
    """The right action is the observation, a number in [-1, 1]: reward minus the squared distance."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.shown, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert np.abs(action).max() <= 1, "the environment must only ever see feasible actions"
        reward = -float(((action - self.shown) ** 2).sum())
        self.shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.shown, reward, False, False, {}


class ChainWorld(gym.Env[Any, Any]):
    """Places 0 to 2 in a row. Action 1 goes on, but stays one time in five; past the last place there is a reward of 1.

    Action 0 gives up, for 0.25.
    """

    observation_space = gym.spaces.Discrete(3)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.place = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = 0
        return self.place, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        if action == 0:
            return self.place, 0.25, True, False, {}
        self.place += int(self.np_random.random() < 0.8)
        done = self.place == 3
        return min(self.place, 2), float(done), done, False, {}


class BarrenWorld(gym.Env[Any, Any]):
    """Two states, reward always 0: with a zero critic every advantage is 0."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return int(action), 0.0, False, False, {}


class NotANumberWorld(BarrenWorld):
    """The reward is NaN."""

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return int(action), float("nan"), False, False, {}


for _name, _world, _limit in (
    ("IdentityWorld-v0", IdentityWorld, 16),
    ("FollowWorld-v0", FollowWorld, 16),
    ("ChainWorld-v0", ChainWorld, 200),
    ("BarrenWorld-v0", BarrenWorld, 8),
    ("NotANumberWorld-v0", NotANumberWorld, 8),
):
    if _name not in gym.registry:
        gym.register(_name, entry_point=f"worlds:{_world.__name__}", max_episode_steps=_limit)


def entry(gym_id: str, state: StateAccess | None = None, **options: Any) -> Environment:
    """A catalogue entry for an environment that the catalogue does not have."""
    presets: dict[str, dict[str, Any]] = {"default": {}, "v0.1": {}}
    return Environment(gym_id, gym_id, "a test world", (), (), presets, options, state=state)


def learner(environment: Environment, **settings: Any) -> ControlLearner:
    """What `Learner.begin` makes, for an environment outside the catalogue."""
    path = {"path": "torch"} if environment.spaces()[0].encoder == "image" else {}
    config = TrainConfig(env_id=environment.name, **{**path, **settings})
    normalizer = begin_normalizer(config)
    environments = VectorEnvironment(environment, config.n_envs, normalizer)
    environments.seed(config.seed)
    spaces = environments.observation_space, environments.action_space
    return ControlLearner(
        config,
        begin_agent(config, *spaces),
        *spaces,
        environments=environments,
        action_rng=np.random.default_rng([config.seed, 1]),
        minibatch_rng=np.random.default_rng([config.seed, 2]),
        round=0,
        normalizer=normalizer,
    )


def moved_snapshot(environment: Environment, rounds: int = 1, **settings: Any) -> Snapshot:
    """A snapshot taken after some updates, so that no layer's gradient is near zero."""
    agent = learner(environment, **settings)
    for _ in range(rounds):
        agent.update(agent.collect())
    return agent.collect()


def off_policy(snapshot: Snapshot, shift: float = 0.15) -> Snapshot:
    """The snapshot with ratios away from 1: some records lie beyond the clip range, as late in an update."""
    rng = np.random.default_rng(0)
    log_prob = (snapshot.buffer.log_prob + rng.normal(0, shift, len(snapshot.buffer))).astype(np.float32)
    return replace(snapshot, buffer=replace(snapshot.buffer, log_prob=log_prob))


def record(path: Path, env_id: str, **overrides: Any) -> Run:
    """Train a preset with `overrides` to the end."""
    return engine.train(engine.preset(env_id, "v0.1", **overrides), path)


def first(buffer: RolloutBuffer, n: int) -> RolloutBuffer:
    """The first n records."""
    return RolloutBuffer(**{name: column[:n] for name, column in vars(buffer).items()})


def double(policy: ActorCritic, snapshot: Snapshot) -> tuple[ActorCritic, Any]:
    """Policy and batch in float64."""
    policy = policy.double()
    return policy, as_batch(policy, snapshot.buffer)


def same_tensors(found: Any, expected: Any) -> None:
    """Equal names, types and bits."""
    assert sorted(found) == sorted(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert found[name].tobytes() == tensor.tobytes(), name

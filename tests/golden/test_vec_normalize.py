"""Normalised observations and rewards are those of Stable-Baselines3's VecNormalize."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from worlds import entry

from engine.config import TrainConfig
from engine.core.checkpoint import generator_at
from engine.kinds.control.normalization import Normalizer
from engine.kinds.control.stepper import VectorEnvironment, feasible

N_ENVS = 3


def both(name: str, limit: int, **settings: Any) -> tuple[VectorEnvironment, VecNormalize]:
    """Ours and theirs at the start of the same episodes."""
    environment = entry(name, max_episode_steps=limit)
    config = TrainConfig(env_id=name, n_envs=N_ENVS, gamma=0.9, normalize_observation=True, normalize_reward=True)
    ours = VectorEnvironment(environment, N_ENVS, Normalizer(config))
    ours.seed(7)
    vector = DummyVecEnv([environment.make for _ in range(N_ENVS)])  # type: ignore[list-item]
    for env, episode in zip(vector.envs, ours.episodes, strict=True):
        env.unwrapped.np_random = generator_at(episode.rng)
    return ours, VecNormalize(vector, gamma=0.9, **settings)


@pytest.mark.parametrize(
    ("name", "limit"), [("Pendulum-v1", 17), ("Acrobot-v1", 23), ("HalfCheetah-v5", 19), ("CartPole-v1", 40)]
)
def test_same_actions_same_numbers(name: str, limit: int) -> None:
    ours, theirs = both(name, limit)
    shown = theirs.reset()
    np.testing.assert_allclose(ours.observation, shown, rtol=1e-6, atol=1e-7)
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(120):
        if ours.action_space.kind == "discrete":
            action = rng.integers(ours.action_space.n, size=N_ENVS)
        else:
            action = rng.normal(size=(N_ENVS, *ours.action_space.shape)).astype(np.float32)
        step = ours.step(action)
        shown, reward, done, infos = theirs.step(np.array([feasible(a, ours.action_space) for a in action]))
        np.testing.assert_allclose(ours.observation, shown, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(step.scaled_reward, reward, rtol=1e-6)
        np.testing.assert_allclose(step.reward, theirs.get_original_reward(), rtol=1e-6)
        assert ours.observation.dtype == shown.dtype == np.float32
        assert np.array_equal(step.terminated | step.truncated, done)
        for i, last in step.final_observation.items():
            np.testing.assert_allclose(last, infos[i]["terminal_observation"], rtol=1e-6, atol=1e-7)
            ended += 1
        assert ours.normalizer is not None
        for moments, reference in (("observation", theirs.obs_rms), ("return", theirs.ret_rms)):
            found = ours.normalizer.moments[moments]
            np.testing.assert_allclose(found.mean, reference.mean, rtol=1e-9, atol=1e-12)  # type: ignore[union-attr]
            np.testing.assert_allclose(found.var, reference.var, rtol=1e-9, atol=1e-12)  # type: ignore[union-attr]
            assert found.count == pytest.approx(reference.count)  # type: ignore[union-attr]
        np.testing.assert_allclose(ours.normalizer.returns, theirs.returns)
    assert ended >= 6


def test_numbers_far_out_are_clipped() -> None:
    config = TrainConfig(env_id="Pendulum-v1", n_envs=1, normalize_observation=True, normalize_reward=True)
    normalizer = Normalizer(config)
    normalizer.reset(np.zeros((1, 2)))
    assert normalizer.normalize(np.array([[1e9, -1e9]])).tolist() == [[10, -10]]
    quiet = np.array([1e-3], np.float32)
    for _ in range(50):
        normalizer.step(np.zeros((1, 2)), quiet, np.array([False]))
    assert normalizer.step(np.zeros((1, 2)), np.array([1e6], np.float32), np.array([False]))[0] <= 10

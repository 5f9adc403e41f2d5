"""The stepper yields exactly n_steps * n_envs real records, and the buffer says what happened."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from worlds import entry, learner

from engine.config import TrainConfig
from engine.envs import CATALOGUE, Environment, find
from engine.kinds.control.agents import begin_agent
from engine.kinds.control.closed_form import ClosedFormAgent
from engine.kinds.control.learner import ControlLearner, step_through
from engine.kinds.control.networks import restore_policy
from engine.kinds.control.rollout import collect
from engine.kinds.control.snapshot import RolloutBuffer
from engine.kinds.control.stepper import VectorEnvironment


def short(name: str, limit: int) -> Environment:
    """A catalogue entry whose episodes are cut off after `limit` steps."""
    return Environment(name, CATALOGUE[name].gym_id, "", (), (), {}, {"max_episode_steps": limit})


def assert_plays_out(buffer: RolloutBuffer, env: gym.Env[Any, Any], start_rng: dict[str, Any], which: int) -> None:
    """Play environment `which` of the buffer by hand, in a plain loop, and compare every record."""
    rows = np.flatnonzero(buffer.env == which)
    env.unwrapped.np_random = np.random.Generator(np.random.PCG64())
    env.unwrapped.np_random.bit_generator.state = start_rng
    observation, _ = env.reset()
    episode = buffer.episode[rows[0]]
    for t, i in enumerate(rows):
        assert buffer.t[i] == t
        assert np.array_equal(buffer.observation[i], observation)
        assert buffer.episode[i] == episode
        observation, reward, terminated, truncated, _ = env.step(int(buffer.action[i]))
        assert buffer.reward[i] == np.float32(reward)
        assert (buffer.terminated[i], buffer.truncated[i]) == (terminated, truncated)
        if terminated or truncated:
            observation, _ = env.reset()
            if t + 1 < len(rows):
                assert buffer.episode[rows[t + 1]] > episode
                episode = buffer.episode[rows[t + 1]]


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("limit", [500, 9])
def test_every_record_is_a_real_step(n_envs: int, limit: int) -> None:
    environment = short("CartPole-v1", limit)
    agent = learner(environment, n_envs=n_envs, n_steps=90, seed=4)
    assert agent.environments is not None
    starts = [dict(episode.rng) for episode in agent.environments.episodes]
    buffer = agent.collect().buffer
    assert len(buffer) == 90 * n_envs
    assert np.array_equal(buffer.record, buffer.t * n_envs + buffer.env)
    done = buffer.terminated | buffer.truncated
    assert done.sum() >= 3 * n_envs
    if limit == 9:
        assert (buffer.truncated & ~buffer.terminated).sum() >= 9
    assert (buffer.reward == 1).all(), "a phantom step after an episode would have reward 0"
    for which in range(n_envs):
        assert_plays_out(buffer, environment.make(), starts[which], which)
    for which in range(n_envs):
        rows = buffer.env == which
        ended = done[rows][:-1]
        changed = np.diff(buffer.episode[rows]) != 0
        assert np.array_equal(ended, changed), "a new episode begins exactly after an episode ended"
    numbers = {(e, v) for e, v in zip(buffer.episode.tolist(), buffer.env.tolist(), strict=True)}
    assert len({e for e, _ in numbers}) == len(numbers), "an episode number belongs to one environment"


def test_rounds_join_without_a_gap() -> None:
    agent = learner(find("CartPole-v1"), n_steps=50, n_envs=2)
    first = agent.collect().buffer
    second = agent.collect().buffer
    for which in range(2):
        last, begin = np.flatnonzero(first.env == which)[-1], np.flatnonzero(second.env == which)[0]
        ended = first.terminated[last] or first.truncated[last]
        assert (second.episode[begin] != first.episode[last]) == ended


def test_metrics_tell_the_finished_episodes() -> None:
    agent = learner(short("CartPole-v1", 10), n_steps=100, n_envs=2)
    snapshot = agent.collect()
    done = snapshot.buffer.terminated | snapshot.buffer.truncated
    assert snapshot.metrics["episodes"] == done.sum()
    lengths = []
    for episode in np.unique(snapshot.buffer.episode):
        rows = snapshot.buffer.episode == episode
        if done[rows].any():
            lengths.append(rows.sum())
    assert snapshot.metrics["mean_return"] == pytest.approx(np.mean(lengths))
    assert snapshot.metrics["mean_length"] == pytest.approx(np.mean(lengths))
    assert snapshot.metrics["std_return"] == pytest.approx(np.std(lengths))


def test_no_finished_episode_is_said_so() -> None:
    metrics = learner(find("Acrobot-v1"), n_steps=20).collect().metrics
    assert metrics["episodes"] == 0
    assert metrics["mean_return"] is None


def test_truncation_bootstraps_and_termination_does_not() -> None:
    """gamma = 1, lambda = 0, so the advantage is r + V(next) - V(s) with V(next) of the episode's own last state."""
    environment = short("CartPole-v1", 7)
    agent = learner(environment, n_steps=60, gamma=1.0, gae_lambda=0.0, seed=1)
    assert agent.environments is not None
    start = dict(agent.environments.episodes[0].rng)
    buffer = agent.collect().buffer
    env = environment.make()
    env.unwrapped.np_random = np.random.Generator(np.random.PCG64())
    env.unwrapped.np_random.bit_generator.state = start
    env.reset()
    assert buffer.truncated.sum() >= 5
    for i in range(60):
        following, _, terminated, truncated, _ = env.step(int(buffer.action[i]))
        value = 0.0 if terminated else float(agent.policy.value(np.asarray(following)[None])[0])
        assert buffer.advantage[i] == pytest.approx(buffer.reward[i] + value - buffer.value[i], abs=1e-5)
        assert buffer.reward[i] == 1, "the stored reward stays raw"
        if terminated or truncated:
            env.reset()
    np.testing.assert_allclose(buffer.returns, buffer.advantage + buffer.value, rtol=1e-6)


def test_recorded_probabilities_and_values_are_the_policys() -> None:
    agent = learner(find("FrozenLake-v1"), n_steps=200, n_envs=2)
    buffer = agent.collect().buffer
    probabilities = agent.policy.probabilities(buffer.observation)
    taken = probabilities[np.arange(len(buffer)), buffer.action]
    np.testing.assert_allclose(np.exp(buffer.log_prob), taken, rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(buffer.value, agent.policy.value(buffer.observation), rtol=1e-5, atol=1e-6)


def test_actions_follow_the_policy() -> None:
    """At fixed probabilities the sampled frequencies match them."""
    fresh = learner(find("FrozenLake-v1"))
    bias = np.array([0.0, 1.0, -1.0, 2.0], np.float32)
    tensors = {**fresh.agent.tensors(), "parameter/actor.4.bias": bias}
    policy = restore_policy(fresh.config, fresh.observation_space, fresh.action_space, tensors)
    states = np.zeros(20_000, np.int64)
    expected = policy.probabilities(states[:1])[0]
    assert expected.max() > 0.6
    closed_form = ClosedFormAgent(fresh.config, fresh.observation_space, fresh.action_space, tensors)
    for actor in (policy, closed_form):
        actions = actor.act(states, actor.draw_noise(np.random.default_rng(0), len(states)))
        np.testing.assert_allclose(np.bincount(actions, minlength=4) / len(states), expected, atol=0.015)


def test_continuous_actions_are_stored_raw_and_clipped_for_the_environment() -> None:
    agent = learner(entry("FollowWorld-v0"), n_steps=200)  # FollowWorld itself asserts that what it sees is feasible
    buffer = agent.collect().buffer
    assert buffer.action.shape == (200, 1)
    assert buffer.action.dtype == np.float32
    assert (np.abs(buffer.action) > 1).any()
    clipped = np.clip(buffer.action, -1, 1)
    np.testing.assert_allclose(buffer.reward, -((clipped - buffer.observation) ** 2)[:, 0], atol=1e-5)
    mean = agent.policy.actor(torch.as_tensor(buffer.observation)).detach().numpy()
    spread = np.exp(-0.5 * (buffer.action - mean) ** 2)
    np.testing.assert_allclose(np.exp(buffer.log_prob), spread[:, 0] / np.sqrt(2 * np.pi), rtol=1e-4)


def test_stepping_through_a_round_ends_where_the_round_ended() -> None:
    agent = ControlLearner.begin(TrainConfig(env_id="LunarLander-v3", n_steps=150, n_envs=2))
    agent.collect()
    snapshot = agent.collect()
    assert agent.environments is not None
    again = VectorEnvironment(find("LunarLander-v3"), 2)
    again.restore(snapshot.checkpoint)
    step_through(again, snapshot, 150)
    assert np.array_equal(again.observation, agent.environments.observation)


def test_collect_takes_randomness_from_its_generator_only() -> None:
    def actions(noise_seed: int) -> np.ndarray:
        env = VectorEnvironment(find("CartPole-v1"), 2)
        env.seed(0)
        config = TrainConfig(env_id="CartPole-v1", n_steps=60, n_envs=2)
        agent = begin_agent(config, env.observation_space, env.action_space)
        return collect(agent, env, config, np.random.default_rng(noise_seed))[0].action

    torch.manual_seed(1)
    first = actions(3)
    torch.manual_seed(2)
    np.random.seed(5)
    assert np.array_equal(first, actions(3))
    assert not np.array_equal(first, actions(4))

"""Test return: the same seeds give the same episodes, whoever plays beside them."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from worlds import entry, learner

from engine.envs import CATALOGUE, find
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.networks import ActorCritic


@pytest.fixture
def policy() -> ActorCritic:
    return learner(find("CartPole-v1"), seed=2).policy


def test_same_seeds_same_returns(policy: ActorCritic) -> None:
    seeds = np.arange(100, 112)
    first = Evaluator(find("CartPole-v1")).returns(policy, seeds)
    assert np.array_equal(first, Evaluator(find("CartPole-v1")).returns(policy, seeds))
    assert len(set(first.tolist())) > 3, "each seed has an episode of its own"


def test_an_evaluator_can_be_used_again(policy: ActorCritic) -> None:
    evaluator = Evaluator(find("CartPole-v1"))
    first = evaluator.returns(policy, [5, 6, 7])
    evaluator.returns(policy, range(50, 60))
    assert np.array_equal(first, evaluator.returns(policy, [5, 6, 7]))


@pytest.mark.parametrize("name", ["CartPole-v1", "LunarLander-v3", "FrozenLake-v1-slippery"])
def test_who_plays_beside_it_does_not_matter(name: str) -> None:
    policy = learner(find(name), seed=2).policy
    evaluator = Evaluator(find(name))
    together = evaluator.returns(policy, range(8))
    assert np.array_equal(together, np.concatenate([evaluator.returns(policy, [seed]) for seed in range(8)]))
    assert np.array_equal(together[::-1], evaluator.returns(policy, range(7, -1, -1)))


def test_return_is_the_sum_of_rewards(policy: ActorCritic) -> None:
    """Played by hand: the seed gives the environment's reset and the noise of the actions."""
    found = Evaluator(find("CartPole-v1")).returns(policy, [31])
    env = gym.make("CartPole-v1")
    observation, _ = env.reset(seed=31)
    rng, total, done = np.random.default_rng([31, 1]), 0.0, False
    while not done:
        (action,) = policy.act(observation[None], policy.draw_noise(rng, 1))
        observation, reward, terminated, truncated, _ = env.step(int(action))
        total += float(reward)
        done = terminated or truncated
    assert found.tolist() == [total]


def test_policies_are_compared_on_equal_starts() -> None:
    """A policy that always goes right and one that always goes down, in the lake that is not slippery."""
    evaluator = Evaluator(find("FrozenLake-v1"))
    policy = learner(find("FrozenLake-v1")).policy
    path = {0: 1, 4: 1, 8: 2, 9: 1, 13: 2, 14: 2}
    with torch.no_grad():
        for parameter in policy.actor.parameters():
            parameter.zero_()
    assert set(evaluator.returns(policy, range(6)).tolist()) <= {0.0, 1.0}
    with torch.no_grad():
        first, middle, last = (policy.get_parameter(f"actor.{layer}.weight") for layer in (0, 2, 4))
        for state in range(16):
            first[state, state] = 20
            middle[state, state] = 20
            last[path.get(state, 0), state] = 50
    assert evaluator.returns(policy, range(6)).tolist() == [1.0] * 6


def test_continuous_actions_are_clipped() -> None:
    returns = Evaluator(entry("FollowWorld-v0")).returns(learner(entry("FollowWorld-v0")).policy, range(4))
    assert returns.shape == (4,)
    assert (returns < 0).all()


def test_cancelling_stops_at_once(policy: ActorCritic) -> None:
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Evaluator(find("CartPole-v1")).returns(policy, range(4), stop)
    assert len(calls) == 3


@pytest.mark.long
def test_every_entry_can_be_evaluated() -> None:
    for name in CATALOGUE:
        evaluator = Evaluator(find(name))
        assert np.isfinite(evaluator.returns(learner(find(name)).policy, [1, 2])).all()
        evaluator.close()

"""TD errors are read off recorded advantages, and add up to others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.core.advantage_steps import Trajectories
from engine.core.gae import gae
from engine.core.kind import kind_of
from engine.store.read import Run

GAMMA, LAMBDA = 0.9, 0.8
N = 6


@pytest.fixture
def collected() -> tuple[Trajectories, dict[str, np.ndarray]]:
    """Six steps of two environments: in the first one a terminal state, in the second one a time limit."""
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=(2, N, 2)).astype(np.float32)
    terminated, truncated = np.zeros((2, N, 2), bool)
    terminated[2, 0] = truncated[3, 1] = True
    what = {
        "reward": reward,
        "value": value,
        "terminated": terminated,
        "truncated": truncated,
        "final_value": np.full((N, 2), 5, np.float32),
        "last_value": np.array([3, 4], np.float32),
    }
    following = np.arange(2 * N) + 2
    following[(terminated | truncated).ravel() | (following >= 2 * N)] = -1
    advantage = gae(**what, gamma=GAMMA, gae_lambda=LAMBDA).ravel()
    columns = reward.ravel(), value.ravel(), advantage, following, terminated.ravel(), np.arange(2 * N)
    return Trajectories(*columns), what


def test_td_errors_are_advantages_with_lambda_0(collected: tuple[Trajectories, dict[str, np.ndarray]]) -> None:
    steps, what = collected
    expected = gae(**what, gamma=GAMMA, gae_lambda=0.0).ravel()
    np.testing.assert_allclose(steps.td_errors(GAMMA * LAMBDA), expected, atol=1e-6)
    np.testing.assert_allclose(steps.td_errors_of_rewards(GAMMA, GAMMA * LAMBDA), expected, atol=1e-6)


@pytest.mark.parametrize("other", [0.0, 0.5, 1.0])
def test_another_lambda_is_that_of_the_same_round(
    collected: tuple[Trajectories, dict[str, np.ndarray]], other: float
) -> None:
    steps, what = collected
    found = steps.advantages(steps.td_errors(GAMMA * LAMBDA), GAMMA * other)
    np.testing.assert_allclose(found, gae(**what, gamma=GAMMA, gae_lambda=other).ravel(), atol=1e-6)


def test_another_critic_is_that_of_the_same_round(collected: tuple[Trajectories, dict[str, np.ndarray]]) -> None:
    steps, what = collected
    value = (what["value"] + np.random.default_rng(1).normal(size=(N, 2))).astype(np.float32)
    delta = steps.td_errors_of_values(value.ravel(), GAMMA, GAMMA * LAMBDA)
    expected = gae(**{**what, "value": value}, gamma=GAMMA, gae_lambda=LAMBDA).ravel()
    np.testing.assert_allclose(steps.advantages(delta, GAMMA * LAMBDA), expected, atol=1e-6)


def test_rewards_that_advantages_do_not_follow_have_other_td_errors(
    collected: tuple[Trajectories, dict[str, np.ndarray]],
) -> None:
    steps, _ = collected
    turned = steps._replace(reward=-steps.reward)
    np.testing.assert_array_equal(turned.td_errors(0.5), steps.td_errors(0.5))
    differ = turned.td_errors_of_rewards(GAMMA, GAMMA * LAMBDA) != steps.td_errors_of_rewards(GAMMA, GAMMA * LAMBDA)
    ends = (steps.following < 0) & ~steps.terminal
    np.testing.assert_array_equal(differ, ~ends)


def test_the_trainer_adds_td_errors_up_to_its_advantages(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    kind, decay = kind_of(snapshot), snapshot.config.gamma * snapshot.config.gae_lambda
    steps = kind.trajectories(snapshot)
    np.testing.assert_allclose(steps.advantages(steps.td_errors(decay), decay), snapshot.buffer.advantage, atol=1e-5)
    corrupted = replace(snapshot.buffer, advantage=-snapshot.buffer.advantage)
    recomputed = kind.trajectories(snapshot.changed(buffer=corrupted))
    inner = (recomputed.following >= 0) | recomputed.terminal
    expected, found = steps.td_errors(decay), recomputed.td_errors_of_rewards(snapshot.config.gamma, decay)
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-5)

"""Several environments side by side: their states come back, and what no recording could have made is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import entry, learner

from engine.envs import find
from engine.errors import BadNumberError
from engine.kinds.control.stepper import VectorEnvironment, feasible
from engine.spaces import Space


def test_feasible_leaves_unbounded_actions_alone() -> None:
    space = Space("box", shape=(2,), dtype="float32", low=(-1.0, float("-inf")), high=(1.0, float("inf")))
    assert feasible(np.array([5, -500], np.float32), space).tolist() == [1, -500]


def test_nan_before_the_first_step_stops_at_once() -> None:
    made = learner(entry("IdentityWorld-v0"), n_steps=8)
    assert made.environments is not None
    made.environments.shown = np.array([np.nan])
    with pytest.raises(BadNumberError, match="NaN or infinity before step 0 of round 0; earlier rounds are intact"):
        made.collect()


def test_nan_reward_stops_with_step_and_round() -> None:
    with pytest.raises(BadNumberError, match="NaN or infinity at step 0 of round 0; earlier rounds are intact"):
        learner(entry("NotANumberWorld-v0"), n_steps=8).collect()


@pytest.mark.parametrize(
    "name", ["CartPole-v1", "FrozenLake-v1", "FrozenLake-v1-slippery", "Acrobot-v1", "LunarLander-v3"]
)
def test_state_restored_in_the_middle_of_episodes(name: str) -> None:
    """A second set of environments, given the state, goes on exactly as the first."""
    n_envs, rng = 3, np.random.default_rng(0)
    one, two = (VectorEnvironment(find(name), n_envs) for _ in range(2))
    one.seed(11)
    for _ in range(45):
        one.step(rng.integers(one.action_space.n, size=n_envs))
    state = one.state()
    assert any(len(state[f"environment/{i}/actions"]) for i in range(n_envs))
    two.restore(state)
    assert np.array_equal(one.observation, two.observation)
    for _ in range(120):
        actions = rng.integers(one.action_space.n, size=n_envs)
        first, second = one.step(actions), two.step(actions)
        assert np.array_equal(one.observation, two.observation)
        for column in ("reward", "terminated", "truncated"):
            assert np.array_equal(getattr(first, column), getattr(second, column))
        assert [e.number for e in first.finished] == [e.number for e in second.finished]
    assert one.state().keys() == two.state().keys()
    assert all(np.array_equal(tensor, two.state()[key]) for key, tensor in one.state().items())


def test_restoring_one_of_many() -> None:
    many, single = VectorEnvironment(find("LunarLander-v3"), 3), VectorEnvironment(find("LunarLander-v3"), 1)
    many.seed(5)
    for _ in range(30):
        many.step(np.array([2, 0, 1]))
    single.restore(many.state(), only=[2])
    assert np.array_equal(single.observation[0], many.observation[2])


def test_an_altered_recording_is_noticed() -> None:
    from engine.kinds.control.stepper import StateNotRestoredError

    env = VectorEnvironment(find("CartPole-v1"), 1)
    env.seed(0)
    for action in (0, 1, 0):
        env.step(np.array([action]))
    state = env.state()
    state["environment/0/actions"] = np.array([0, 1, 1])
    with pytest.raises(StateNotRestoredError, match="CartPole-v1"):
        VectorEnvironment(find("CartPole-v1"), 1).restore(state)

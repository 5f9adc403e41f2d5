"""Every environment of the catalogue comes back to the states of its records, by writing them or by stepping again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from worlds import ENTRIES

from engine.analysis.restoring import CannotRestoreError, points
from engine.core.checkpoint import generator_at
from engine.envs import find, preset
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.stepper import StateNotRestoredError, feasible
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.long


def second_round(name: str, **settings: Any) -> Snapshot:
    """A round that begins in the middle of episodes, of two environments."""
    agent = ControlLearner.begin(preset(name, "v0.1", **{"n_envs": 2, "n_steps": 30, "seed": 6, **settings}))
    agent.collect()
    return agent.collect()


@pytest.mark.parametrize("name", ENTRIES)
def test_what_follows_a_restored_state_is_what_was_recorded(name: str) -> None:
    snapshot = second_round(name, n_steps=4 if name.startswith("highway") else 60)
    buffer, entry = snapshot.buffer, find(name)
    restored = points(snapshot)
    assert None not in restored
    env, other = entry.make(), entry.make()
    env.reset(seed=9)
    last = len(buffer) - 1
    for record in (last - 2, 0, 1, last // 2, last - 3):
        point = restored[record]
        assert point is not None
        assert np.array_equal(point.shown, buffer.observation[record])
        env = point.restore(entry, env, snapshot.action_space)
        other = replace(point, state=None).restore(entry, other, snapshot.action_space)
        env.unwrapped.np_random = generator_at(other.unwrapped.np_random.bit_generator.state)
        for i in range(record, len(buffer), 2):
            shown, reward, terminated, truncated, _ = env.step(feasible(buffer.action[i], snapshot.action_space))
            assert np.float32(reward) == buffer.reward[i]
            assert (terminated, truncated) == (buffer.terminated[i], buffer.truncated[i])
            if terminated or truncated or i + 2 >= len(buffer):
                break
            assert np.array_equal(shown, buffer.observation[i + 2])
    env.close()
    other.close()


def test_the_time_limit_goes_on_where_it_stood() -> None:
    snapshot = second_round("Pendulum-v1", n_steps=130)
    end = int(np.flatnonzero(snapshot.buffer.truncated)[0])
    point = points(snapshot)[end]
    assert point is not None
    assert point.state is not None
    env = find("Pendulum-v1").make()
    env.reset(seed=0)
    env = point.restore(find("Pendulum-v1"), env, snapshot.action_space)
    assert env.step(np.zeros(1, np.float32))[3]


def test_normalised_observations_are_compared_as_the_network_saw_them() -> None:
    snapshot = second_round("CartPole-v1", normalize_observation=True, normalize_reward=True)
    assert None not in points(snapshot)


def test_equal_states_are_known_by_their_key() -> None:
    snapshot = second_round("FrozenLake-v1", n_steps=100)
    keys = [point.key for point in points(snapshot) if point is not None]
    starts = [i for i in range(2, 200) if (snapshot.buffer.terminated | snapshot.buffer.truncated)[i - 2]]
    assert len({keys[i] for i in starts}) == 1
    stays = [i for i in range(198) if snapshot.buffer.observation[i] == snapshot.buffer.observation[i + 2]]
    assert any(keys[i] != keys[i + 2] for i in stays), "an episode that is a step older is another state"
    assert all(point is not None and point.key is None for point in points(second_round("LunarLander-v3")))


def test_what_comes_after_a_difference_is_not_restored() -> None:
    snapshot = second_round("CartPole-v1")
    reward = snapshot.buffer.reward.copy()
    reward[20] = 7
    restored = points(replace(snapshot, buffer=replace(snapshot.buffer, reward=reward)))
    assert [i for i, point in enumerate(restored) if point is None] == list(range(22, 60, 2))


def test_an_environment_that_does_not_even_begin_right() -> None:
    snapshot = second_round("CartPole-v1")
    tensors = dict(snapshot.checkpoint)
    tensors["environment/1/observation"] = tensors["environment/1/observation"] + 1
    restored = points(replace(snapshot, checkpoint=tensors))
    assert [i for i, point in enumerate(restored) if point is None] == list(range(1, 60, 2))


def test_another_simulator_is_noticed_later_too() -> None:
    snapshot = second_round("LunarLander-v3")
    point = points(snapshot)[40]
    assert point is not None
    env = find("LunarLander-v3").make()
    with pytest.raises(StateNotRestoredError, match="LunarLander-v3"):
        replace(point, shown=point.shown + 1).restore(find("LunarLander-v3"), env, snapshot.action_space)


def test_a_recording_without_states() -> None:
    snapshot = second_round("CartPole-v1")
    tensors = {name: each for name, each in snapshot.checkpoint.items() if not name.startswith("environment/")}
    with pytest.raises(CannotRestoreError, match="round 0 was recorded without the states of its environments"):
        points(replace(snapshot, checkpoint=tensors))

"""A round of Stable-Baselines3 collected again: what its own checks ask of a record holds for the new one, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

import engine
from engine.analysis.checks.round_checks import advantages, critic, numbers, policy
from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.kinds.recorded.snapshot import RecordedSnapshot
from engine.recording import sb3
from engine.spaces import Space


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> RecordedSnapshot:
    """Pendulum with both statistics of a VecNormalize; every episode is cut off by its time limit, within a round."""
    path = tmp_path_factory.mktemp("runs") / "pendulum"
    torch.manual_seed(0)
    world = make_vec_env("Pendulum-v1", n_envs=2, seed=3, env_kwargs={"max_episode_steps": 50})
    model = PPO("MlpPolicy", VecNormalize(world), n_steps=128, batch_size=64, n_epochs=2, seed=3, device="cpu")
    with sb3.Recorder(path) as recorder:
        model.learn(3 * 2 * 128, callback=recorder)
    return engine.open_run(path).snapshot(1)


def again(snapshot: RecordedSnapshot, seed: int) -> RecordedSnapshot:
    found: RecordedSnapshot = kind_of(snapshot).collected_anew(snapshot, np.random.default_rng(seed))
    return found


def test_what_is_collected_again_is_a_round_of_the_same_policy(snapshot: RecordedSnapshot) -> None:
    collected = again(snapshot, 1)
    checks = [numbers(collected, {}), policy(collected), critic(collected), advantages(collected)]
    assert [check.ok for check in checks] == [True] * 4, checks
    assert collected.buffer.truncated.sum() == 4, "episodes of 50 steps begin anew in both environments"
    assert collected.buffer.observation.dtype == snapshot.buffer.observation.dtype
    assert collected.minibatches.shape == snapshot.minibatches.shape
    spread = snapshot.buffer.reward.std()
    assert abs(collected.buffer.reward.mean() - snapshot.buffer.reward.mean()) < spread, "one environment, one policy"
    assert not np.array_equal(collected.buffer.action, snapshot.buffer.action)


def test_luck_comes_from_the_generator_alone(snapshot: RecordedSnapshot) -> None:
    first, same, other = again(snapshot, 1), again(snapshot, 1), again(snapshot, 2)
    np.testing.assert_array_equal(first.buffer.observation, same.buffer.observation)
    np.testing.assert_array_equal(first.buffer.advantage, same.buffer.advantage)
    np.testing.assert_array_equal(first.minibatches, same.minibatches)
    assert not np.array_equal(first.buffer.observation, other.buffer.observation)


def test_records_of_another_make_are_refused_in_a_line(snapshot: RecordedSnapshot) -> None:
    parts = snapshot.changed(observation_space=Space("dict", parts={"one": snapshot.observation_space}))
    phantoms = snapshot.changed(buffer=replace(snapshot.buffer, valid=np.ones(len(snapshot.buffer), bool)))
    for other, why in ((parts, "observations of several parts"), (phantoms, "steps in which no action is sent")):
        assert why in kind_of(other).why_not_collected(other)
        with pytest.raises(BadInputError, match=why):
            again(other, 1)


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"clip_obs": 5.0}, "clips elsewhere"), ({"training": False}, "no longer learns"), (None, "not recorded")],
)
def test_another_normalization_is_refused(
    snapshot: RecordedSnapshot, changed: dict[str, object] | None, why: str
) -> None:
    said = {**snapshot.in_force["normalizing"], **(changed or {})}
    in_force = {name: each for name, each in snapshot.in_force.items() if name != "normalizing"}
    other = snapshot.changed(in_force=in_force if changed is None else {**in_force, "normalizing": said})
    assert why in kind_of(other).why_not_collected(other)


def test_the_statistics_go_on_from_where_they_stood(snapshot: RecordedSnapshot, tmp_path: Path) -> None:
    """Had they begun anew, the first observations would not be divided by what the rounds before have shown."""
    seen = again(snapshot, 1).buffer.observation
    fresh = {
        name: tensor if not name.startswith("normalizer/") else np.ones_like(tensor)
        for name, tensor in snapshot.checkpoint.items()
    }
    assert not np.allclose(seen[:8], again(snapshot.changed(checkpoint=fresh), 1).buffer.observation[:8])

"""Normalised runs: what is recorded, and that replay, resuming, branching, pictures and evaluation are right with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import entry, learner, record, same_tensors

import engine
from engine.analysis.rendering import render
from engine.core.evaluation import EVALUATION_SEED
from engine.core.gae import gae
from engine.envs import find
from engine.errors import BadInputError, BadNumberError
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.learner import step_through
from engine.kinds.control.networks import restore_policy
from engine.kinds.control.normalization import begin_normalizer, normalizer_at
from engine.kinds.control.stepper import StateNotRestoredError, VectorEnvironment
from engine.store.read import Run

SETTINGS: dict[str, Any] = {
    "rounds": 4,
    "n_envs": 2,
    "n_steps": 60,
    "n_epochs": 2,
    "batch_size": 32,
    "normalize_observation": True,
    "normalize_reward": True,
}


@pytest.fixture(scope="module", params=["Pendulum-v1", "HalfCheetah-v5", "LunarLander-v3"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(tmp_path_factory.mktemp("normalized") / "run", request.param, **SETTINGS)


def test_what_is_recorded(run: Run) -> None:
    """Observations as the network saw them, raw rewards, advantages of scaled ones, and two states of the statistics."""
    assert run.manifest.observation_space.dtype == "float32"
    first, second = run.snapshot(0), run.snapshot(1)
    assert first.buffer.observation.dtype == np.float32
    raw = VectorEnvironment(find(run.manifest.env_id), 2)
    raw.restore(first.checkpoint)
    normalizer = begin_normalizer(run.config)
    assert normalizer is not None
    normalizer.reset(raw.shown)
    scaled, done = [], (first.buffer.terminated | first.buffer.truncated).reshape(-1, 2)
    for t, action in enumerate(first.buffer.action.reshape(60, 2, *first.buffer.action.shape[1:])):
        assert np.array_equal(normalizer.normalize(raw.shown), first.buffer.observation[2 * t : 2 * t + 2])
        step = raw.step(action)
        assert np.array_equal(step.reward, first.buffer.reward[2 * t : 2 * t + 2])
        scaled.append(normalizer.step(raw.shown, step.reward, done[t]))
    assert np.abs(np.array(scaled).ravel() - first.buffer.reward).max() > 0.1
    for name, tensor in normalizer.statistics("").items():
        assert np.array_equal(first.checkpoint[f"normalizer/{name}"], tensor), "after collecting"
        assert np.array_equal(second.checkpoint[f"environment/normalizer/{name}"], tensor), "as of the first record"
    policy = restore_policy(run.config, first.observation_space, first.action_space, first.checkpoint)
    if not done.any():
        value = first.buffer.value.reshape(60, 2)
        none, last = np.zeros_like(done), policy.value(normalizer.normalize(raw.shown))
        settings = {"gamma": run.config.gamma, "gae_lambda": run.config.gae_lambda}
        advantage = gae(np.array(scaled), value, none, none, value, last, **settings)
        np.testing.assert_allclose(first.buffer.advantage, advantage.ravel(), rtol=1e-3, atol=1e-5)


def test_every_checkpoint_has_the_statistics_of_its_time(run: Run) -> None:
    counts = [float(run.checkpoint(k)["normalizer/observation_count"]) for k in run.checkpoint_rounds]
    assert counts == pytest.approx([2 + 120 * rounds for rounds in (1, 2, 3, 4, 4)], abs=1e-3)


def test_replays_bit_for_bit(run: Run) -> None:
    assert engine.verify_run(run.path) == []
    for k in run.stored_rounds:
        after = run.checkpoint(k + 1)
        learnt = {name: t for name, t in after.items() if name.startswith(("parameter/", "optimizer/"))}
        same_tensors(engine.replay(run.snapshot(k)).checkpoint, learnt)


def test_resumes_bit_for_bit(run: Run, tmp_path: Path) -> None:
    snapshots = engine.rounds(run.config, tmp_path / "parts")
    for _ in range(3):
        next(snapshots)
    snapshots.close()
    parts = engine.train(run.config, tmp_path / "parts", resume=True)
    for k in run.stored_rounds:
        same_tensors(vars(parts.snapshot(k).buffer), vars(run.snapshot(k).buffer))
    for k in run.checkpoint_rounds:
        same_tensors(parts.checkpoint(k), run.checkpoint(k))


def test_retraining_evaluates_what_the_network_would_see(run: Run, tmp_path: Path) -> None:
    outcome = engine.retrain(run, 2, [3, 4, 5, 50], tmp_path / "branch", orders=2, episodes=2, continue_rounds=1)
    snapshot = run.snapshot(2)
    seeds = [EVALUATION_SEED]
    policy = engine.replay(snapshot).agent
    normalizer = normalizer_at(run.config, snapshot.checkpoint)
    expected = Evaluator(find(run.manifest.env_id), normalizer).returns(policy, seeds)
    assert outcome["order_means"]["original"][0] == pytest.approx(expected.mean())
    assert Evaluator(find(run.manifest.env_id)).returns(policy, seeds) != expected
    branch = engine.open_run(tmp_path / "branch")
    assert engine.verify_run(branch.path) == []
    assert branch.stored_rounds == [2, 3]
    mine, theirs = branch.snapshot(3).checkpoint, run.snapshot(3).checkpoint
    for name in theirs:
        if name.startswith("environment/normalizer/"):
            assert np.array_equal(mine[name], theirs[name]), "the branch goes on from where the parent's round ended"


def test_a_branch_of_one_round_keeps_the_statistics(run: Run, tmp_path: Path) -> None:
    engine.retrain(run, 1, [3], tmp_path / "branch", orders=2, episodes=2)
    final = engine.open_run(tmp_path / "branch").checkpoint(2)
    assert np.array_equal(final["normalizer/observation_mean"], run.checkpoint(1)["normalizer/observation_mean"])


def test_evaluation_leaves_the_statistics_alone(run: Run) -> None:
    normalizer = normalizer_at(run.config, run.checkpoint(3))
    assert normalizer is not None
    before = normalizer.state("")
    evaluator = Evaluator(find(run.manifest.env_id), normalizer)
    agent = engine.replay(run.snapshot(2)).agent
    first = evaluator.returns(agent, [1, 2])
    same_tensors(normalizer.state(""), before)
    assert np.array_equal(first, evaluator.returns(agent, [1, 2]))


def test_pictures_come_from_one_environment_of_several(run: Run) -> None:
    snapshot = run.snapshot(2)
    assert render(snapshot, 41).std() > 0
    reward = snapshot.buffer.reward.copy()
    reward[11] += 1
    with pytest.raises(StateNotRestoredError, match=r"at step 5 of round 2"):
        render(replace(snapshot, buffer=replace(snapshot.buffer, reward=reward)), 41)


def test_an_altered_observation_is_noticed(run: Run) -> None:
    snapshot = run.snapshot(2)
    observation = snapshot.buffer.observation.copy()
    observation[21] += 1e-3
    altered = replace(snapshot, buffer=replace(snapshot.buffer, observation=observation))
    environments = VectorEnvironment(find(run.manifest.env_id), 2, begin_normalizer(run.config))
    environments.restore(snapshot.checkpoint)
    with pytest.raises(StateNotRestoredError, match=r"at step 10 of round 2"):
        step_through(environments, altered, 60)


@pytest.mark.parametrize(("name", "kind"), [("FrozenLake-v1", "discrete"), ("MiniGrid-Empty-8x8-v0", "images")])
def test_observations_without_a_mean_are_refused_in_words(name: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=f"normalize_observation is on, but the observations are {kind}") as caught:
        engine.train(engine.preset(name, "v0.1", normalize_observation=True), tmp_path / "run")
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_rewards_alone(tmp_path: Path) -> None:
    run = record(tmp_path / "run", "FrozenLake-v1", **{**SETTINGS, "normalize_observation": False})
    assert run.manifest.observation_space.kind == "discrete"
    assert sorted(name for name in run.checkpoint(1) if name.startswith("normalizer/")) == [
        f"normalizer/return_{part}" for part in ("count", "mean", "var")
    ]
    assert render(run.snapshot(1), 30).std() > 0


def test_without_normalising_nothing_is_recorded_of_it(cartpole: Run) -> None:
    assert not any("normalizer" in name for name in cartpole.checkpoint(1))


def test_not_a_number_still_names_the_step() -> None:
    agent = learner(entry("NotANumberWorld-v0"), n_steps=8, normalize_reward=True)
    with pytest.raises(BadNumberError, match="NaN or infinity at step 0"):
        agent.collect()

"""Monte Carlo advantages where the right answer is known, and what is kept of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import entry, moved_snapshot

import engine
from engine.analysis import rollout_advantages
from engine.analysis import rollouts as playing
from engine.analysis.features import MISMATCH, PRODUCT
from engine.analysis.rollout_advantages import monte_carlo
from engine.analysis.rollouts import RolloutTask, RoundPolicy, horizon, run_rollouts
from engine.envs import CATALOGUE
from engine.envs.environment import attributes
from engine.errors import CancelledError
from engine.kinds.control.agents import restore_agent
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.networks import restore_policy
from engine.store.read import Run
from engine.store.snapshot import Snapshot

INLINE: dict[str, Any] = {"executor": "inline"}


GAMMA = 0.9


def world(monkeypatch: pytest.MonkeyPatch, name: str, state: Any = None, **settings: Any) -> Snapshot:
    """A snapshot of a test world that the catalogue knows for the time being."""
    known = entry(name, state)
    monkeypatch.setitem(CATALOGUE, name, known)  # type: ignore[arg-type]
    return moved_snapshot(known, n_steps=64, n_epochs=2, batch_size=16, **settings)


def chain_advantages(snapshot: Snapshot) -> np.ndarray:
    """(n,) exact A(s, a) of the chain under the snapshot's policy, by the Bellman equation."""
    spaces = snapshot.observation_space, snapshot.action_space
    go = restore_policy(snapshot.config, *spaces, snapshot.checkpoint).probabilities(np.arange(3))[:, 1]
    value, q = np.zeros(4), np.zeros((3, 2))
    for place in (2, 1, 0):
        reward = 0.8 if place == 2 else 0.8 * GAMMA * value[place + 1]
        value[place] = ((1 - go[place]) * 0.25 + go[place] * reward) / (1 - go[place] * 0.2 * GAMMA)
        q[place] = 0.25, reward + 0.2 * GAMMA * value[place]
    buffer = snapshot.buffer
    exact: np.ndarray = q[buffer.observation, buffer.action] - value[buffer.observation]
    return exact


@pytest.mark.parametrize("state", [attributes("place"), None], ids=["written", "stepped again"])
def test_advantages_of_the_chain_are_the_exact_ones(monkeypatch: pytest.MonkeyPatch, state: Any) -> None:
    monkeypatch.setattr(playing, "BLOCK", 1)  # so that episodes are longer than what is drawn at once
    snapshot = world(monkeypatch, "ChainWorld-v0", state, gamma=GAMMA)
    found = monte_carlo(snapshot, rollouts=60, **INLINE)
    exact = chain_advantages(snapshot)
    assert np.ptp(exact) > 0.2
    away = (found.advantage - exact) / found.error
    assert np.abs(away).max() < 4
    assert 0.5 < away.std() < 1.5, "the standard error is the right size"
    assert (found.error < 0.12).all()
    assert (found.rollouts > 60).any() == (state is not None), "only equal states that can be read share rollouts"


def test_records_of_the_same_state_and_action_share_rollouts(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = world(monkeypatch, "ChainWorld-v0", attributes("place"), gamma=GAMMA)
    found = monte_carlo(snapshot, rollouts=4, **INLINE)
    starts = np.flatnonzero(np.r_[True, snapshot.buffer.terminated[:-1]])
    assert (found.rollouts[starts] == 4 * min(len(starts), 16)).all()
    for action in (0, 1):
        same = found.advantage[starts][snapshot.buffer.action[starts] == action]
        assert len(set(same.tolist())) == 1


def test_an_action_that_the_policy_is_sure_of_has_no_advantage(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = certain_of(world(monkeypatch, "ChainWorld-v0"), 1)
    going = np.flatnonzero(snapshot.buffer.action == 1)
    found = monte_carlo(snapshot, going, rollouts=5, **INLINE)
    assert (found.advantage == 0).all()
    assert (found.error == 0).all()


def test_what_a_time_limit_cuts_off_is_worth_what_the_critic_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reward is always 0 and the state is the last action: from the last step on, q = gamma V(a)."""
    snapshot = world(monkeypatch, "BarrenWorld-v0", gamma=GAMMA)
    last = np.flatnonzero(snapshot.buffer.truncated)
    found = monte_carlo(snapshot, last, rollouts=3, **INLINE)
    value = restore_agent(
        snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint
    ).value(np.arange(2))
    np.testing.assert_allclose(found.advantage + found.value, GAMMA * value[snapshot.buffer.action[last]], rtol=1e-5)


def test_a_rollout_ends_where_the_discount_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (horizon(0.99), horizon(0.5), horizon(0.0), horizon(1.0)) == (459, 7, 1, None)
    snapshot = world(monkeypatch, "FollowWorld-v0", gamma=0.5)
    found = monte_carlo(snapshot, range(6), rollouts=2, **INLINE)
    assert np.abs(found.value).max() < 8 / (1 - 0.5), "rewards are above -8"
    assert found.restored.all()


def test_rewards_are_those_that_advantages_are_made_of() -> None:
    """Every reward of CartPole is 1; with gamma 0 a rollout is that one reward, normalised as the update found it."""
    snapshot = first_round("CartPole-v1", normalize_reward=True, gamma=0.0)
    found = monte_carlo(snapshot, range(4), rollouts=2, **INLINE)
    np.testing.assert_allclose(found.value, min(10, (snapshot.checkpoint["normalizer/return_var"] + 1e-8) ** -0.5))
    assert found.value[0] > 2


@pytest.mark.long
def test_continuous_actions_and_images(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = world(monkeypatch, "FollowWorld-v0", gamma=0.0)
    found = monte_carlo(snapshot, rollouts=200, **INLINE)
    buffer = snapshot.buffer
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    draws = policy.actor_output(buffer.observation).numpy() + np.random.default_rng(0).normal(size=(1, 4000))
    assert policy.log_std is not None
    expected = -((np.clip(draws, -1, 1) - buffer.observation) ** 2).mean(axis=1)
    np.testing.assert_allclose(found.advantage, buffer.reward - expected, atol=6 * found.error.max())
    rooms = first_round("MiniGrid-Empty-8x8-v0", gamma=0.8)
    assert monte_carlo(rooms, range(1), rollouts=2, **INLINE).restored.all()


def first_round(name: str, **settings: Any) -> Snapshot:
    return ControlLearner.begin(engine.preset(name, "v0.1", n_steps=30, **settings)).collect()


@pytest.mark.long
def test_the_pool_gives_the_same_numbers_and_they_do_not_depend_on_what_else_is_asked() -> None:
    snapshot = first_round("CartPole-v1", normalize_observation=True, normalize_reward=True)
    everything = monte_carlo(snapshot, rollouts=3, **INLINE)
    some = monte_carlo(snapshot, [3, 17], rollouts=3, executor="processes", workers=2)
    assert some.advantage.tolist() == everything.advantage[[3, 17]].tolist()
    assert some.error.tolist() == everything.error[[3, 17]].tolist()


@pytest.fixture
def snapshot(cartpole: Run, tmp_path: Path) -> Snapshot:
    """Round 1 of 140 records; nothing is kept from other tests."""
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run").snapshot(1)


def test_finished_rollouts_are_kept_also_when_cancelled(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[int] = []

    def counted(policy: RoundPolicy, task: RolloutTask) -> Any:
        played.extend(start.record for start in task.starts)
        return run_rollouts(policy, task)

    def stop(_doing: str, done: int, _total: int) -> None:
        if done:
            raise CancelledError("enough")

    monkeypatch.setattr(rollout_advantages, "run_rollouts", counted)
    with pytest.raises(CancelledError):
        monte_carlo(snapshot, rollouts=8, report=stop, **INLINE)
    assert 0 < len(played) < 140
    once = monte_carlo(snapshot, rollouts=8, **INLINE)
    assert sorted(played) == list(range(140)), "nothing was played twice"
    again = monte_carlo(snapshot, rollouts=8, **INLINE)
    assert len(played) == 140
    assert again.advantage.tolist() == once.advantage.tolist()


def test_influence_goes_with_the_product_of_the_advantages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's explanation in a world where every advantage is known: half of them with the wrong sign."""
    snapshot = world(monkeypatch, "ChainWorld-v0", attributes("place"), gamma=GAMMA)
    exact = chain_advantages(snapshot).astype(np.float32)
    wrong = np.random.default_rng(0).random(len(exact)) < 0.3
    advantage = np.where(wrong, -exact, exact)
    snapshot = replace(snapshot, buffer=replace(snapshot.buffer, advantage=advantage))
    found = engine.diagnose(snapshot, fraction=0.25, rollouts=60, **INLINE)
    assert found.correlations[PRODUCT].low > 0.5
    mismatch = next(trait for trait in found.traits if trait.name == MISMATCH)
    assert mismatch.bottom > 0.9
    assert mismatch.rest < 0.3


def certain_of(snapshot: Snapshot, action: int) -> Snapshot:
    """The snapshot with a policy that takes this one of two actions, whatever it sees."""
    name = next(name for name in snapshot.checkpoint if name.startswith("parameter/actor.4") and name.endswith("bias"))
    bias = np.full(2, -500, np.float32)
    bias[action] = 500
    return snapshot.changed(checkpoint={**snapshot.checkpoint, name: bias})

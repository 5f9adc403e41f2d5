"""The picture of a record shows the state in which it was made."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import gymnasium as gym
import numpy as np
import pytest
from worlds import ENTRIES

from engine.analysis.rendering import CannotDrawError, episode_records, render, render_records
from engine.analysis.restoring import CannotRestoreError
from engine.envs import CATALOGUE, preset
from engine.errors import BadInputError
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.stepper import StateNotRestoredError
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.long


@cache
def second_round(name: str) -> Snapshot:
    """A round that begins in the middle of episodes; a short one where a step costs much."""
    agent = ControlLearner.begin(
        preset(name, "v0.1", n_envs=2, n_steps=30 if CATALOGUE[name].extra is None else 8, seed=6)
    )
    agent.update(agent.collect())
    return agent.collect()


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_has_pictures(name: str) -> None:
    snapshot = second_round(name)
    last = len(snapshot.buffer) - 1
    pictures = {record: render(snapshot, record) for record in (0, 1, last // 2, last - 1, last)}
    for picture in pictures.values():
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert picture.std() > 0
    assert len({picture.tobytes() for picture in pictures.values()}) > 2
    assert np.array_equal(render(snapshot, last), pictures[last])


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1"])
def test_it_is_the_records_state(name: str) -> None:
    """The same state put by hand into an environment that is drawn looks the same."""
    snapshot = second_round(name)
    record = 41
    env = gym.make(name, render_mode="rgb_array")
    env.reset(seed=0)
    o = snapshot.buffer.observation[record]
    state = o if name == "CartPole-v1" else [np.arctan2(o[1], o[0]), np.arctan2(o[3], o[2]), o[4], o[5]]
    env.unwrapped.state = np.asarray(state, np.float64)  # type: ignore[attr-defined]
    by_hand = np.asarray(env.render(), np.float64)
    assert np.abs(by_hand - render(snapshot, record)).mean() < 0.5
    assert np.abs(by_hand - render(snapshot, 0)).mean() > 0.5


# MuJoCo's half-made viewer complains when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_machine_that_cannot_draw_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = second_round("HalfCheetah-v5")
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    with pytest.raises(CannotDrawError, match=r"HalfCheetah-v5 can't be drawn on this machine .*nonsense"):
        render(snapshot, 3)


def test_record_out_of_range() -> None:
    with pytest.raises(BadInputError, match="record 60 is out of range; this round has records 0 to 59"):
        render(second_round("CartPole-v1"), 60)


def test_an_altered_recording_is_not_drawn() -> None:
    snapshot = second_round("CartPole-v1")
    action = snapshot.buffer.action.copy()
    action[10] = 1 - action[10]
    altered = replace(snapshot, buffer=replace(snapshot.buffer, action=action))
    assert render(altered, 8).std() > 0, "what came before is as it was"
    with pytest.raises(StateNotRestoredError, match="CartPole-v1"):
        render(altered, 40)


@pytest.mark.parametrize("name", ENTRIES)
def test_pictures_of_one_pass_are_those_of_single_ones(name: str) -> None:
    """Also where an episode ends on the way; drawing leaves no trace in the environment."""
    snapshot = second_round(name)
    records = [1, 7, 9, 59] if CATALOGUE[name].extra is None else [1, 9]
    frames = list(render_records(snapshot, records[::-1]))
    assert len(frames) == len(records)
    for frame, record in zip(frames, records, strict=True):
        assert np.array_equal(frame, render(snapshot, record))


def test_a_pass_keeps_what_was_drawn_before_the_recording_differs() -> None:
    snapshot = second_round("CartPole-v1")
    action = snapshot.buffer.action.copy()
    action[10] = 1 - action[10]
    frames = render_records(replace(snapshot, buffer=replace(snapshot.buffer, action=action)), [4, 8, 40])
    assert np.array_equal(next(frames), render(snapshot, 4))
    assert np.array_equal(next(frames), render(snapshot, 8))
    with pytest.raises(StateNotRestoredError, match="CartPole-v1"):
        next(frames)


def test_records_of_two_environments_are_not_one_pass() -> None:
    with pytest.raises(BadInputError, match="environments 0, 1 can't be drawn in one pass"):
        next(render_records(second_round("CartPole-v1"), [0, 1]))


def test_an_episode_is_thinned_evenly() -> None:
    snapshot = second_round("Acrobot-v1")
    assert episode_records(snapshot, 5, 100).tolist() == list(range(1, 60, 2)), "the records of environment 1"
    assert episode_records(snapshot, 5, 30).tolist() == list(range(1, 60, 2))
    assert episode_records(snapshot, 4, 4).tolist() == [0, 20, 38, 58]
    assert episode_records(snapshot, 4, 1).tolist() == [0]
    with pytest.raises(BadInputError, match="out of range"):
        episode_records(snapshot, 60, 4)


def test_a_recording_without_states_is_not_drawn() -> None:
    snapshot = second_round("CartPole-v1")
    tensors = {name: each for name, each in snapshot.checkpoint.items() if not name.startswith("environment/")}
    with pytest.raises(CannotRestoreError, match="recorded without the states of its environments"):
        render(replace(snapshot, checkpoint=tensors), 3)

"""Filters: which records go, how many, and that a filtered round is recorded and replayed as it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import entry, learner

import engine
from engine.errors import BadInputError
from engine.intervention.filtering import RANKINGS, filtered_count, make_filter
from engine.learning.agents import restore_agent
from engine.learning.training import Learner
from engine.store.snapshot import Snapshot

SETTINGS: dict[str, Any] = {"n_steps": 100, "n_envs": 2, "batch_size": 32, "n_epochs": 2, "rounds": 3, "drop": 0.5}


@pytest.mark.parametrize(
    ("scores", "drop", "count"),
    [
        ([3, 1, 2], 0.5, 0),  # nobody hurt
        ([-3, -1, -2, -4], 0.5, 2),  # everybody did: the worse half
        ([-3, -1, -2, -4], 1, 4),
        ([-3, -1, 2, 5], 1, 2),  # all negative ones, and no other
        ([-3, -1, 2, 5], 0.5, 1),
        ([-3, -1, 2, 5], 0.1, 0),  # a tenth of two is none
        ([-3, -1, -1, -1], 0.5, 1),  # strictly below the threshold sorted[2] = -1
        ([-2, -2, 0, 1], 0.5, 0),  # the threshold is the smallest itself
        ([-2, 0, 0, 1], 1, 1),
    ],
)
def test_the_papers_threshold_rule(scores: list[float], drop: float, count: int) -> None:
    assert filtered_count(np.array(scores, np.float32), drop) == count


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    made = Learner.begin(engine.preset("CartPole-v1", **SETTINGS))
    made.update(made.collect())
    return made.collect()


@pytest.mark.parametrize("name", RANKINGS)
def test_every_filter_drops_as_many_as_iif(snapshot: Snapshot, name: str) -> None:
    choose = make_filter(engine.preset("CartPole-v1", **SETTINGS, filter=name))
    assert choose is not None
    dropped, why = choose(snapshot)
    scores = engine.influence(snapshot).influence
    assert len(dropped) == len(set(dropped)) == filtered_count(scores, 0.5) > 10
    assert name in why
    kept = np.setdiff1d(snapshot.buffer.record, dropped)
    if name == "iif":
        assert scores[dropped].max() < scores[kept].min()
    elif name == "advantage":
        assert np.abs(snapshot.buffer.advantage)[dropped].max() <= np.abs(snapshot.buffer.advantage)[kept].min()
    again, _ = choose(snapshot)
    assert np.array_equal(dropped, again), "no hidden randomness"


def test_no_filter() -> None:
    assert make_filter(engine.preset("CartPole-v1")) is None


@pytest.mark.parametrize("name", ["iif", "random"])
def test_a_filtered_run_is_recorded_replayed_and_resumed(tmp_path: Path, name: str) -> None:
    config = engine.preset("CartPole-v1", **SETTINGS, filter=name)
    list(engine.train(config, tmp_path / "whole"))
    interrupted = engine.train(config, tmp_path / "cut")
    for _ in range(2):
        next(interrupted)
    interrupted.close()
    list(engine.train(config, tmp_path / "cut", resume=True))
    whole, cut = engine.open_run(tmp_path / "whole"), engine.open_run(tmp_path / "cut")
    for k in whole.stored_rounds:
        snapshot = whole.snapshot(k)
        dropped = int((~snapshot.buffer.kept).sum())
        assert 0 < dropped == snapshot.metrics["dropped"]
        assert name in snapshot.metrics["filter"]
        assert np.array_equal(snapshot.buffer.kept, cut.snapshot(k).buffer.kept)
        after, resumed, replayed = whole.checkpoint(k + 1), cut.checkpoint(k + 1), engine.replay(snapshot).checkpoint
        for tensor in replayed:
            assert np.array_equal(after[tensor], replayed[tensor])
            assert np.array_equal(after[tensor], resumed[tensor])
    assert engine.verify_run(tmp_path / "whole") == []


def test_a_filter_that_leaves_too_little_stops(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", **{**SETTINGS, "batch_size": 90, "drop": 1.0}, filter="iif")
    with pytest.raises(BadInputError, match=r"would keep \d+ records of round 0, fewer than two minibatches \(180\)"):
        list(engine.train(config, tmp_path / "run"))
    assert engine.open_run(tmp_path / "run").rounds == []


def test_a_round_without_signal_is_kept_whole() -> None:
    """Reward always 0 and a critic that knows it: there is nothing to filter by."""
    made = learner(entry("BarrenWorld-v0"), n_steps=16, batch_size=4, filter="iif")
    flat = {name: np.zeros_like(t) if "critic" in name else t for name, t in made.agent.tensors().items()}
    made.agent = restore_agent(made.config, made.observation_space, made.action_space, flat)
    choose = make_filter(made.config)
    assert choose is not None
    dropped, why = choose(made.collect())
    assert len(dropped) == 0
    assert "gradient is zero" in why


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"filter": "best"}, "filter is best"), ({"drop": 0.0}, "drop is 0.0"), ({"drop": 1.5}, "drop is 1.5")],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        engine.preset("CartPole-v1", **settings)


def test_a_filtered_runs_branch_goes_on_filtering(tmp_path: Path) -> None:
    list(engine.train(engine.preset("CartPole-v1", **SETTINGS, filter="iif"), tmp_path / "run"))
    more: dict[str, Any] = {"orders": 2, "episodes": 2, "continue_rounds": 1}
    outcome = engine.retrain(tmp_path / "run", 1, [1, 2, 3], tmp_path / "branch", **more)
    later = engine.open_run(outcome["run"]).snapshot(2)
    assert not later.buffer.kept.all()

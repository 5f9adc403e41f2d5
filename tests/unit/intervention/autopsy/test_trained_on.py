"""Trainings that go on from a round are those of the trainer itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.core.kind import kind_of
from engine.errors import BadInputError, CancelledError
from engine.executors import INLINE
from engine.intervention.autopsy.common_returns import CommonReturns
from engine.intervention.autopsy.recorded_policies import RecordedPolicies
from engine.intervention.autopsy.trained_on import (
    Training,
    otherwise,
    train_missing,
    trained,
    training_seconds,
)
from engine.store.read import Run

EPISODES = 8


def training(run: Run, which: int = 0, *, luck: bool = False, first: int = 1, **settings: float) -> Training:
    points = tuple(range(first + 1, 4))
    return Training("an arm", which, run.path, first, points, EPISODES, settings, luck=run.path if luck else None)


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run")


def nothing(doing: str, done: int, total: int) -> None:
    """Say nothing."""


def test_with_its_own_luck_a_run_goes_on_as_it_did(run: Run) -> None:
    """Bit for bit: the policies at the points score what the recorded ones do."""
    found = trained(training(run, luck=True))
    with RecordedPolicies(CommonReturns(run, 1, EPISODES, {}), nothing, 2) as policies:
        recorded = [policies.play(run, k, f"round {k}") for k in (2, 3)]
    assert np.array_equal(found.returns, recorded)


def test_other_luck_is_another_one_each_time(run: Run) -> None:
    first, again, other = (trained(training(run, which, learning_rate=0.01)).returns for which in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, trained(training(run, luck=True, learning_rate=0.01)).returns)


def test_other_settings_are_those_of_the_updates(run: Run) -> None:
    """With the recorded luck, the first update is the round's own with the other setting."""
    found = trained(training(run, luck=True, learning_rate=0.01))
    changed = otherwise(run.snapshot(1), {"learning_rate": 0.01})
    kind = kind_of(changed)
    evaluation = kind.evaluation(changed, {})
    expected = evaluation.returns(kind.player(changed, engine.replay(changed).agent), 0, EPISODES)
    evaluation.close()
    assert np.array_equal(found.returns[0], expected)
    with pytest.raises(BadInputError, match="learning_rate"):
        otherwise(run.snapshot(1), {"learning_rate": -1.0})


def test_a_training_that_breaks_says_why(run: Run) -> None:
    broken = training(run, learning_rate=1e38)
    assert "made parameters NaN or infinite" in trained(broken).stopped
    returns = CommonReturns(run, 1, EPISODES, {})
    assert "NaN" in train_missing([broken], returns, INLINE, nothing)["an arm"]
    assert broken.policy(2) not in returns


def test_what_is_finished_is_not_trained_again(run: Run) -> None:
    both = [training(run, which) for which in (0, 1)]
    told: list[str] = []

    def until_the_second(doing: str, done: int, total: int) -> None:
        told.append(f"{doing} {done}/{total}")
        if done == 1 and doing.startswith("training on"):
            raise CancelledError

    with pytest.raises(CancelledError):
        train_missing(both, CommonReturns(run, 1, EPISODES, {}), INLINE, until_the_second)
    assert told[0] == "training on 0/2"
    kept = CommonReturns(run, 1, EPISODES, {})
    assert both[0].policy(3) in kept
    assert both[1].policy(2) not in kept
    again: list[str] = []
    train_missing(both, kept, INLINE, lambda doing, done, total: again.append(doing))
    assert {each for each in again if "an arm, 1" in each} == set()
    assert again[-1] == "trained on, an arm, 2 is finished"
    assert np.array_equal(kept[both[1].policy(3)], trained(both[1]).returns[1])


def test_how_long_it_takes() -> None:
    """Two rounds of 3 s each, and one policy that plays 10 episodes, of which 20 took a second; a third round says nothing."""
    metrics = {"collect_seconds": 1.0, "update_seconds": 2.0, "episodes": 20}
    assert training_seconds([metrics, metrics], 4, 1, 10) == pytest.approx(4 * (6 + 0.5))
    assert training_seconds([metrics, metrics, {"episodes": 5}], 4, 1, 10) == pytest.approx(4 * (9 + 0.5))
    assert training_seconds([{**metrics, "episodes": 0}], 4, 1, 10) is None
    assert training_seconds([{"episodes": 5}], 4, 1, 10) is None

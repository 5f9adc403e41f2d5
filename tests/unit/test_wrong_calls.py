"""Calls that can't mean anything end in one line that says what would be right, before anything is computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_kind import ToySettings

import engine
from engine.core.faithfulness.measure import Measurement
from engine.core.targets.of_records import ActionTarget
from engine.core.targets.question import Question
from engine.errors import BadInputError
from engine.executors import INLINE, Pool
from engine.store.read import Run

SMALL: dict[str, Any] = {"rounds": 2, "n_steps": 48, "batch_size": 16, "n_epochs": 1}
SAMPLES = Path(__file__).resolve().parents[2] / "sample_runs"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Small runs by the name of their environment."""
    folder = tmp_path_factory.mktemp("wrong calls")
    names = ("CartPole-v1", "Pendulum-v1", "FrozenLake-v1")
    found = {name: engine.train(engine.preset(name, "v0.1", **SMALL), folder / name) for name in names}
    toy = ToySettings(engine.TrainConfig(env_id="bandit", path="torch", **SMALL))
    return found | {"toy": engine.train(toy, folder / "toy"), "courtesy": engine.open_run(SAMPLES / "courtesy")}


def refused(says: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    with pytest.raises(BadInputError, match=says) as caught:
        function(*args, **kwargs)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("of", "asked", "says"),
    [
        ("CartPole-v1", "Pendulum-v1", r"observations .* have shape \(4,\), those of round 0 \(3,\)"),
        ("FrozenLake-v1", "CartPole-v1", r"observations .* have shape \(\), those of round 0 \(4,\)"),
        ("toy", "CartPole-v1", "is of a run of the kind toy, and round 0 of one of the kind control"),
        ("CartPole-v1", "toy", "is of a run of the kind control, and round 0 of one of the kind toy"),
        ("courtesy", "toy", "is of a run of the kind language"),
        ("toy", "courtesy", "is of a run of the kind toy"),
    ],
)
def test_a_target_of_another_run_is_refused(runs: dict[str, Run], of: str, asked: str, says: str) -> None:
    other, snapshot = runs[of].snapshot(0), runs[asked].snapshot(0)
    for target in (engine.return_target(other), engine.action_target(other, record=7)):
        refused(says, engine.influence, snapshot, target)
        refused(says, engine.influence_on_each, snapshot, target)
        refused(says, engine.validate, snapshot, target, executor="inline")
        refused(says, engine.diagnose, snapshot, target, rollouts=0)
    if {of, asked}.isdisjoint(("toy", "courtesy")):
        refused(says, engine.return_target, snapshot, other.buffer)


def test_an_action_that_is_not_there_is_refused(runs: dict[str, Run]) -> None:
    snapshot = runs["CartPole-v1"].snapshot(1)
    state = snapshot.buffer.observation[:1]
    refused("actions .* are from 2 to 2", engine.influence, snapshot, ActionTarget(state, np.array([2])))
    assert engine.influence(snapshot, ActionTarget(state, np.array([1]))).target["action"] == [1]
    lake = runs["FrozenLake-v1"].snapshot(1)
    field = ActionTarget(np.array([16]), np.array([0]))
    refused("observations .* are from 16 to 16, those of round 1 from 0 to 15", engine.influence, lake, field)


def test_what_is_no_round_no_run_and_no_target_is_refused(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["CartPole-v1"]
    snapshot: Any = run.snapshot(1)
    one: Any = run
    for given in (one, run.path, str(run.path), None, 3):
        refused("a recorded round is needed, not ", engine.influence, given)
        refused("a recorded round is needed, not ", engine.replay, given)
        refused("a recorded round is needed, not ", engine.return_target, given)
    for target in (3, {"target": "return"}, engine.ReturnTarget, snapshot, ["return"]):
        for ask in (engine.influence, engine.validate, engine.diagnose, engine.influence_on_each):
            refused("a target is needed, not ", ask, snapshot, target)
    refused("a run is needed, not ControlSnapshot", engine.retrain, snapshot, 1, [1], tmp_path / "out")
    refused("a run is needed, not NoneType", engine.open_run, None)
    refused("round is 7, beside a snapshot of round 1", engine.validate, snapshot, round=7)
    refused("round is 0, beside a snapshot of round 1", engine.diagnose, snapshot, round=0)


def test_training_is_told_settings(runs: dict[str, Run], tmp_path: Path) -> None:
    """At the call, also by `rounds`, which makes its rounds only when they are asked for."""
    run = runs["CartPole-v1"]
    for given in (run, run.snapshot(1), run.manifest, engine.TrainConfig, "CartPole-v1", None):
        for begin in (engine.train, engine.rounds):
            refused("not the settings of a run", begin, given, tmp_path / "out")
    refused("no use for reward_model", engine.rounds, run.config, tmp_path / "out", reward_model=len)
    unknown = engine.TrainConfig(env_id="CartPoel-v1")
    refused("CartPoel-v1", engine.rounds, unknown, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_counted_is_a_whole_number(runs: dict[str, Run]) -> None:
    snapshot = runs["CartPole-v1"].snapshot(1)
    scores = engine.influence(snapshot)
    for wrong in ("2", 1.5, None):
        number: Any = wrong
        refused("orders is .*whole number", engine.influence, snapshot, orders=number)
        refused("order is .*whole number", engine.replay, snapshot, order=number)
        refused("number of records is .*whole number", scores.top, number)
        for name in ("subsets", "orders", "score_orders"):
            refused(f"{name} is .*whole number", Measurement, **{"subsets": 3, "orders": 1, name: wrong})
    averaged = engine.influence(snapshot, "return", "tracin", orders=np.int64(2))  # type: ignore[arg-type]
    assert engine.influence(snapshot, "return", "tracin", orders=2).influence.tolist() == averaged.influence.tolist()
    estimators: Any = ["tracin"]
    refused("unknown estimator", engine.influence, snapshot, "return", estimators)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"fraction": 7}, "fraction is 7; it must be above 0 and below 1"),
        ({"fraction": "half"}, "fraction is 'half'"),
        ({"device": "x"}, "the device is 'x'; it must be cpu or cuda"),
        ({"design": "random nonsense"}, "design is random nonsense; it must be extremes or random"),
        ({"design": "extremes of tracin"}, "it must be extremes or random"),
    ],
)
def test_a_measurement_is_checked_where_it_is_made(settings: dict[str, Any], says: str) -> None:
    refused(says, Measurement, subsets=3, orders=2, **settings)


def test_one_estimator_is_one_name(runs: dict[str, Run]) -> None:
    few: dict[str, Any] = {"subsets": 3, "orders": 1, "executor": "inline"}
    found = engine.validate(runs["CartPole-v1"].snapshot(1), estimators="tracin", **few)
    assert list(found.estimators) == ["tracin"]


def test_a_measurement_stands_for_its_settings(runs: dict[str, Run]) -> None:
    snapshot = runs["CartPole-v1"].snapshot(1)
    how = Measurement(subsets=4, orders=1, fraction=0.25, design="extremes", score_orders=2)
    found = engine.validate(snapshot, estimators="tracin", how=how, pool=INLINE)
    assert (found.subsets, found.orders, found.fraction) == (4, 1, 0.25)
    assert found.design == "extremes of tracin over 2 orders"
    assert engine.read_validation(snapshot, design="extremes") is not None
    assert engine.read_validation(snapshot, design="ext") is None
    refused("how= is given, and so are settings that it has", engine.validate, snapshot, subsets=9, how=how)
    refused("pool= is given", engine.validate, snapshot, executor="inline", pool=Pool("inline", 3), how=how)


@pytest.mark.parametrize("of", ["CartPole-v1", "toy"])
def test_every_way_to_say_a_target_is_the_same_target(runs: dict[str, Run], of: str) -> None:
    snapshot = runs[of].snapshot(1)
    few: dict[str, Any] = {"subsets": 3, "orders": 1, "executor": "inline"}
    name = engine.TargetName(target="action", about=7)
    asked = Question(target=name, estimator="tracin", orders=2)
    target = engine.action_target(snapshot, record=7)
    assert engine.read_validation(snapshot, name) is engine.read_validation(snapshot, asked) is None
    measured = engine.validate(snapshot, asked, **few)
    assert list(measured.estimators) == ["tracin over 2 orders"]
    for given in (name, target, asked):
        read = engine.read_validation(snapshot, given)
        assert read is not None
        assert (read.created, read.target) == (measured.created, target.describe())
    assert engine.read_validation(snapshot, Question(target=name, estimator="tracin")) is None
    refused("a question says the estimator", engine.read_validation, snapshot, asked, "tracin")
    how = Measurement(subsets=4, orders=1)
    assert list(engine.validate(snapshot, asked, how=how, pool=INLINE).estimators) == list(measured.estimators)
    refused("a question says", engine.validate, snapshot, asked, how=replace(how, score_orders=3))
    refused("a question says the estimator", engine.validate, snapshot, asked, ["tracin_adam"], **few)
    matrix = engine.influence_on_each(snapshot, target)
    assert (engine.influence_on_each(snapshot, name) == matrix).all()
    assert (engine.influence_on_each(snapshot, Question(target=name, estimator="first_order")) == matrix).all()
    refused("first_order alone, .* asks for tracin over 2 orders", engine.influence_on_each, snapshot, asked)


def test_a_behaviour_is_one_state_and_action_of_the_run(runs: dict[str, Run]) -> None:
    run, other = runs["FrozenLake-v1"], runs["CartPole-v1"]
    target = engine.action_target(run.snapshot(1), observation=5, action=2)
    expected = engine.behaviour(run, target, "tracin", cache=False)
    name = engine.TargetName(target="action", observation=5, action=2)
    found = engine.behaviour(run, Question(target=name, estimator="tracin"), cache=False)
    assert json.dumps(found.to_json()) == json.dumps(expected.to_json())
    refused("have shape", engine.behaviour, run, engine.action_target(other.snapshot(1), record=3))
    wrong: tuple[Any, ...] = (
        "action",
        engine.TargetName(target="action", about=3),
        engine.return_target(run.snapshot(1)),
    )
    for given in wrong:
        refused("a behaviour is one state and action", engine.behaviour, run, given)
    refused("a target is needed, not int", engine.behaviour, run, 3)
    refused("a run is needed, not ControlSnapshot", engine.behaviour, run.snapshot(1), target)
    refused("recorded minibatch order", engine.behaviour, run, Question(target=name, estimator="tracin", orders=2))

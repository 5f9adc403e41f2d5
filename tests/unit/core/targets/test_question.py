"""One question about a round: it says what it asks in words, to a command, in JSON and to `influence`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command

import engine
from engine.core.influence import read_influence
from engine.core.targets.question import Question, TargetName
from engine.errors import BadInputError
from engine.jobs.questions import Influence
from engine.store.read import Run

ACTION = TargetName(target="action", about=(3, 7))
ASKED = Question(target=ACTION, estimator="tracin", orders=2, by_layer=True)


def test_influence_takes_a_question(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    target = engine.action_target(snapshot, record=[3, 7])
    expected = engine.influence(snapshot, target, "tracin", orders=2, by_layer=True, cache=False)
    found = engine.influence(snapshot, ASKED)
    assert np.array_equal(found.influence, expected.influence)
    assert set(found.layers) == set(expected.layers)
    assert (found.estimator, found.orders, found.target) == ("tracin", 2, expected.target)
    kept = read_influence(snapshot, ASKED)
    assert kept is not None, "it was kept under the question"
    same = read_influence(snapshot, target, "tracin", orders=2, by_layer=True)
    assert same is not None, "however it is asked"
    assert np.array_equal(kept.influence, same.influence)
    with pytest.raises(BadInputError, match="a question says the estimator, the orders and the layers"):
        engine.influence(snapshot, ASKED, "tracin_adam")
    with pytest.raises(BadInputError, match="unknown estimator 'guess'"):
        engine.influence(snapshot, Question(target=ACTION, estimator="guess"))


def test_the_command_asks_the_same(command: Command, cartpole: Run) -> None:
    found = command("influence", cartpole.path, "--round", 1, "--json", *ASKED.arguments).json
    assert found["influence"] == engine.influence(cartpole.snapshot(1), ASKED).influence.tolist()
    assert "layers" in found


def test_words_and_json() -> None:
    assert ASKED.words == "tracin over 2 orders, action target, mean of 2 records (3, 7), by layer"
    assert Question(target=TargetName(), estimator="first_order").words == "first_order, return target"
    assert Question.from_json(json.loads(json.dumps(ASKED.to_json()))) == ASKED


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"target": {"target": 5}, "estimator": "tracin"}, "target is 5; it must be a text"),
        (
            {"target": {"about": "12"}, "estimator": "tracin"},
            "about is '12'; it must be a whole number or a list or null",
        ),
        ({"target": {"about": [True]}, "estimator": "tracin"}, r"about\[0\] is True; it must be a whole number"),
        ({"target": {"tokens": [1]}, "estimator": "tracin"}, "they must be two numbers"),
        ({"target": {"reward": 1}, "estimator": "tracin"}, "unknown field 'reward'"),
        ({"target": {}, "estimator": "tracin", "orders": "2"}, "orders is '2'; it must be a whole number"),
        ({"target": {}}, "the field estimator is missing"),
    ],
)
def test_what_is_no_question_is_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Question.from_json(values)


def test_a_job_asks_it(cartpole: Run) -> None:
    job = Influence(round=1, target=ACTION.plain(), estimator="tracin", orders=2, by_layer=True)
    assert job.asked == ASKED


def test_a_validation_knows_whose_scores_it_measured(cartpole: Run, tmp_path: Path) -> None:
    """Also as it is read again; on the disk it stands under the name that people see."""
    shutil.copytree(cartpole.path, tmp_path / "run")
    snapshot = engine.open_run(tmp_path / "run").snapshot(1)
    settings: dict[str, Any] = {"subsets": 4, "orders": 1, "score_orders": 2, "executor": "inline"}
    measured = engine.validate(snapshot, estimators=("first_order",), **settings)
    read = engine.read_validation(snapshot, "return", "first_order over 2 orders")
    for found in (measured, read):
        assert found is not None
        assert {name: (each.estimator, each.orders) for name, each in found.estimators.items()} == {
            "first_order over 2 orders": ("first_order", 2)
        }
    assert set(measured.to_json()["estimators"]["first_order over 2 orders"]) == {"lds", "low", "high"}

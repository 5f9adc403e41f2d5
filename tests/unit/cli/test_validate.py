"""`python -m engine validate`: what it prints, its JSON contract, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, Listing, refused
from jsonschema import Draft202012Validator

import engine
from engine.core.effort import Effort
from engine.kinds.control.kind import ControlKind
from engine.store.snapshot import Snapshot

VALIDATE = ("--subsets", 4, "--orders", 2, "--executor", "inline")


@pytest.mark.parametrize(
    "target",
    [
        ("--target", "return"),
        ("--target", "return", "--of-round", 2),
        ("--target", "action", "--record", 3, "--record", 5),
        ("--target", "action", "--obs", "0,0,0.1,0", "--action", "push left"),
    ],
    ids=["return", "another round", "records", "observation"],
)
def test_validate(command: Command, run: Path, target: tuple[object, ...]) -> None:
    outcome = command("validate", run, "--round", 1, *target, *VALIDATE, "--json")
    assert outcome.code == 0, outcome
    found = outcome.json
    assert found["run"] == str(run)
    assert (found["round"], found["target"]) == (1, target[1])
    assert (found["subsets"], found["orders"], found["fraction"]) == (4, 2, 0.5)
    assert set(found["estimators"]) == {"first_order"}
    assert set(found["estimators"]["first_order"]) == {"lds", "low", "high"}
    assert -1 <= found["estimators"]["first_order"]["lds"] <= 1
    assert found["ceiling"] <= 1
    assert found["null_exact"] is True
    assert found["fingerprint_equal"] is True
    assert len(found["actual"]) == len(found["predicted"]["first_order"]) == 4
    assert "replaying the update (0/10)" in outcome.err
    published = json.loads((Path(engine.__file__).parents[1] / "docs" / "run-format.schema.json").read_text())
    validator = Draft202012Validator({"$ref": "#/$defs/WrittenValidation", "$defs": published["$defs"]})
    assert validator.is_valid(found)
    assert not validator.is_valid({**found, "ceiling": "high"})


def test_validate_for_people(command: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=6))
    names = ("--estimator", "first_order", "--estimator", "replay_regression")
    outcome = command("validate", run, "--round", 1, *VALIDATE, *names)
    assert outcome.code == 0, outcome
    for words in ("4 subsets of 50% of the records", "LDS", "noise ceiling", "bit for bit", "the best of them here"):
        assert words in outcome.out
    assert outcome.out.count("replay_regression") >= 2


def test_a_stopped_validation_says_how_to_go_on(command: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.core.replays import many

    real = many.run_replays

    def interrupted(snapshot: Snapshot, targets: Any, task: many.ReplayTask) -> np.ndarray:
        if task.start:
            raise KeyboardInterrupt
        return real(snapshot, targets, task)

    monkeypatch.setattr(many, "run_replays", interrupted)
    outcome = command("validate", run, "--round", 1, *VALIDATE)
    assert outcome.code == 130
    last = outcome.err.splitlines()[-1]
    assert "8 of 10 replays are finished and kept" in last
    assert "continue with the same command" in last
    assert "Traceback" not in outcome.err
    monkeypatch.setattr(many, "run_replays", real)
    outcome = command("validate", run, "--round", 1, *VALIDATE)
    assert outcome.code == 0
    assert "(8/10)" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--subsets", 2), "subsets is 2; it must be from 3 to 100,000"),
        (("--orders", 0), "orders is 0; it must be from 1 to 1,048,576"),
        (("--fraction", 2), "fraction is 2.0; it must be above 0 and below 1"),
        (("--estimator", "guess"), "unknown estimator 'guess'"),
        (("--target", "regret"), "unknown target 'regret'"),
        (("--target", "action"), "needs either a record"),
        (("--target", "action", "--record", 140), "record 140 is out of range"),
        (("--target", "action", "--record", 1, "--record", 140), "record 140 is out of range"),
        (("--record", 3), "belong to the action target"),
        (("--of-round", 9), "round 9 is not in this run; it has rounds 0 to 2"),
        (("--round", 7), "round 7 is not in this run"),
    ],
)
def test_bad_validations(
    command: Command, run: Path, arguments: tuple[object, ...], message: str, listing: Listing
) -> None:
    before = listing(run)
    refused(command("validate", run, "--round", 1, "--executor", "inline", *arguments), message)
    assert listing(run) == before


def test_scores_averaged_over_orders_are_measured_as_such(command: Command, run: Path) -> None:
    arguments = ("validate", run, "--round", 1, *VALIDATE, "--estimator", "tracin", "--score-orders", 3)
    assert list(command(*arguments, "--json").json["estimators"]) == ["tracin over 3 orders"]
    assert "tracin over 3 orders" in command(*arguments).out
    refused(command(*arguments[:-1], 0), "score_orders is 0; it must be at least 1")
    refused(command(*arguments, "--workers", 0), "workers")


def test_scores_that_take_long_are_announced_once(command: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.core.faithfulness.cost.influence_seconds", lambda *_: 50.0)
    arguments = ("validate", run, "--round", 1, *VALIDATE, "--estimator", "tracin", "--score-orders", 2)
    assert "note: scoring the records takes about 50 s" in command(*arguments).err
    assert "scoring the records takes" not in command(*arguments).err, "they are kept"


def test_what_it_says_before_it_begins(command: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.core.faithfulness.cost.replaying_seconds", lambda *_, **__: 200.0)
    monkeypatch.setattr("engine.core.kind.fingerprint", dict)
    arguments = ("validate", run, "--round", 1, *VALIDATE)
    said = command(*arguments).err
    assert "note: replaying the update 10 times takes about 3 min" in said
    assert "note: round 1 was recorded with other software or on another machine" in said
    assert "replaying the update 10 times" not in command(*arguments).err, "all replays are kept"

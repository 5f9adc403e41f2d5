"""An autopsy where nothing can be played: what replays say of later records, held to what the trainer's own policy says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unplayed_models import said

import engine
from engine.errors import CancelledError
from engine.intervals import Interval
from engine.intervention.autopsy import on_records
from engine.intervention.autopsy.autopsy_result import Autopsy
from engine.intervention.autopsy.html_file import render
from engine.intervention.autopsy.kept_returns import BEFORE
from engine.intervention.autopsy.on_records import RECORDED, OnRecords, in_words
from engine.intervention.autopsy.played_arms import FIRST
from engine.store.read import Run


@pytest.fixture(scope="module")
def found(unplayed_run: Run) -> Autopsy:
    return engine.autopsy(unplayed_run, 0)


def test_the_verdict_says_that_nobody_measured_the_return(found: Autopsy, unplayed_run: Run) -> None:
    assert (found.verdict, found.real, found.arms, found.waits) == ("unexplained", None, (), False)
    assert (
        "What its update did to the return can't be measured here: can't play this run's environment" in found.sentence
    )
    assert (
        "On the records of rounds 1-2, which had no part in it, the update changed the return target by "
        in found.sentence
    )
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (values["verdict"], values["real"], values["sentence"]) == ("unexplained", None, found.sentence)
    assert values["unplayed"] == found.unplayed
    assert [(each["round"], each["update"]) for each in values["on_records"]] == [
        (each.round, each.update) for each in found.on_records or ()
    ]
    assert values["left_out"] == {}, "no arm is missed that would be played"
    page = render(unplayed_run, found)
    assert "a quarter of the learning rate" in page
    assert found.not_measured.replace("'", "&#39;") in page


def test_numbers_are_those_of_the_trainers_own_policy(found: Autopsy, unplayed_run: Run, unplayed_model: Any) -> None:
    snapshot = unplayed_run.snapshot(0)
    slower = snapshot.changed(in_force={**snapshot.in_force, "learning_rate": snapshot.config.learning_rate / 4})
    updates = {
        RECORDED: [unplayed_run.checkpoint(1)],
        "other minibatch orders": [engine.replay(snapshot, order=i + 1).checkpoint for i in range(FIRST)],
        "a quarter of the learning rate": [engine.replay(slower, order=i).checkpoint for i in range(FIRST)],
    }
    assert [(each.round, each.update, each.replays) for each in found.on_records or ()] == [
        (k, update, len(made)) for k in (1, 2) for update, made in updates.items()
    ]
    for each in found.on_records or ():
        buffer, before = unplayed_run.snapshot(each.round).buffer, unplayed_run.checkpoint(0)
        then = said(unplayed_model, before, before, buffer)
        now = [said(unplayed_model, checkpoint, before, buffer) for checkpoint in updates[each.update]]
        assert each.numbers.keys() == then.keys(), "those of no records are left out"
        for name, interval in each.numbers.items():
            changes = np.array([values[name] - then[name] for values in now])
            assert interval.value == pytest.approx(changes.mean(), rel=1e-3, abs=1e-6), (each, name)
            if len(changes) > 1:
                assert interval == pytest.approx(Interval.of_mean(changes), rel=1e-3, abs=1e-5)


def test_the_last_round_has_no_later_records(unplayed_run: Run) -> None:
    found = engine.autopsy(unplayed_run, 2)
    assert (found.verdict, found.on_records) == ("unexplained", ())
    assert found.left_out == {"what replays say of later records": "no later round has records"}
    assert found.sentence.endswith(f"can't be measured here: {found.unplayed}.")


def test_what_was_asked_is_kept(unplayed_run: Run, tmp_path: Path) -> None:
    shutil.copytree(unplayed_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    copy = engine.open_run(tmp_path / "run")

    def told(stop_at: str = "never") -> list[str]:
        doings: list[str] = []

        def say(doing: str, done: int, total: int) -> None:
            if doing == stop_at:
                raise CancelledError
            doings.append(doing)

        try:
            engine.autopsy(copy, 0, progress=say)
        except CancelledError:
            doings.append("cancelled")
        return list(dict.fromkeys(doings))

    third = "asking the policy other minibatch orders, 3"
    assert told(stop_at=third)[-2:] == ["asking the policy other minibatch orders, 2", "cancelled"]
    assert told()[:2] == ["checking the record", third]
    assert told() == ["checking the record"]
    assert engine.autopsy(copy, 0).on_records == engine.autopsy(copy, 0, cache=False).on_records
    assert BEFORE not in on_records.kept_numbers(copy, 1)


def test_numbers_that_are_not_known_are_left_out_of_the_sentence() -> None:
    assert in_words(()) == ""
    nothing_of_kl = OnRecords(5, RECORDED, 1, {"return_target": Interval(-0.5)})
    assert in_words([nothing_of_kl, OnRecords(6, RECORDED, 1, {"return_target": Interval(-0.1)})]) == (
        "On the records of rounds 5-6, which had no part in it, the update changed the return target by -0.3."
    )

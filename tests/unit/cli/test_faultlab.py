"""`python -m engine faultlab`: its table and its JSON of finished cells, and bad input in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command, refused

from engine.experiments.faultlab.cell import Answer, Cell, Failed
from engine.experiments.faultlab.natural_falls import FallsCell, Judged, Update
from engine.intervals import Interval

RATE = Failed("replay", "step", "the replay does not land")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder with two finished cells."""
    for seed, named in ((0, "step"), (2, "not real")):
        rate = Answer("rate", "mild", 4, named, (RATE,) if named == "step" else ())
        clean = Answer("nothing", "gross", 4, "not real", ())
        Cell("CartPole-v1", seed, 4, settings={"n_steps": 64}, answers=(rate, clean)).write(tmp_path)
    return tmp_path


ASKED = ("--env", "CartPole", "--seeds", "0,2", "--round", 4, "--set", "n_steps=64", "--executor", "inline")


def test_for_people(command: Command, finished: Path) -> None:
    outcome = command("faultlab", "--out", finished, *ASKED)
    assert outcome.code == 0
    text = " ".join(outcome.out.split())
    assert "gross: -" in text
    assert "mild: 50 % (9 to 91)" in text
    assert "false alarms: 0 % (0 to 66)" in text
    assert outcome.out.splitlines()[-1] == "CartPole-v1, seed 2, round 4: mild rate, named not real"


def test_as_json(command: Command, finished: Path) -> None:
    found = command("faultlab", "--out", finished, *ASKED, "--json").json
    assert (found["folder"], found["cells"], found["together"]["mild"]["value"]) == (str(finished), 2, 0.5)
    assert found["misses"] == ["CartPole-v1, seed 2, round 4: mild rate, named not real"]


def test_in_markdown(command: Command, finished: Path) -> None:
    outcome = command("faultlab", "--out", finished, *ASKED, "--markdown")
    assert outcome.code == 0
    assert "| rate (x 30, x 3) | step | - | 1 of 2 | 1 of 2 |" in outcome.out.splitlines()


def test_falls(command: Command, tmp_path: Path) -> None:
    judged = Judged("order", (-20.0, -22.0), {"order": (20.0, 22.0), "data": (0.0, 1.0), "step": (20.0, 22.0)})
    answers = (Update(0, Interval(-20, -25, -15), judged),)
    FallsCell("CartPole-v1", 0, 20.0, 5, settings={"n_steps": 64}, answers=answers).write(tmp_path)
    asked = ("faultlab", "--falls", "--factor", 20, *ASKED[:3], "0", *ASKED[4:], "--out", tmp_path)
    text = " ".join(command(*asked).out.split())
    assert "1 falls in 1 rounds of 1 trainings; 1 judged, 1 of them real" in text
    assert "says so): 100 % (21 to 100)" in text
    assert command(*asked, "--json").json["verdicts"] == {"order": {"order": 1}}
    assert "| order | 1 | 0 | 0 | 0 | 0 | 0 |" in command(*asked, "--markdown").out


def test_what_is_asked_wrongly(command: Command, tmp_path: Path, finished: Path) -> None:
    refused(command("faultlab", "--out", tmp_path, "--env", "CartPool"), "CartPole-v1")
    refused(command("faultlab", "--out", tmp_path, "--seeds", "x"), "--seeds 'x'")
    refused(command("faultlab", "--out", tmp_path, "--round", 0), "the round is 0; it must be at least 1")
    refused(command("faultlab", "--out", finished, *ASKED, "--arms"), "another round, other settings or arms")
    refused(command("faultlab", "--out", tmp_path, "--factor", 3), "--factor is for falls")
    refused(command("faultlab", "--out", tmp_path, "--falls", "--arms"), "--arms is for planted faults")
    refused(command("faultlab", "--out", tmp_path, "--falls", "--factor", -1), "learning_rate")

"""`python -m engine faultlab`: its table and its JSON of finished cells, and bad input in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command, refused

from engine.experiments.faultlab.cell import Answer, Cell, Failed

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


def test_what_is_asked_wrongly(command: Command, tmp_path: Path, finished: Path) -> None:
    refused(command("faultlab", "--out", tmp_path, "--env", "CartPool"), "CartPole-v1")
    refused(command("faultlab", "--out", tmp_path, "--seeds", "x"), "--seeds 'x'")
    refused(command("faultlab", "--out", tmp_path, "--round", 0), "the round is 0; it must be at least 1")
    refused(command("faultlab", "--out", finished, *ASKED, "--arms"), "another round, other settings or arms")

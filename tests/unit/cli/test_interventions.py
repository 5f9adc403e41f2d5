"""`python -m engine interventions`: a line a round, the summary, and bad input in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import Command, Listing, refused

import engine
from engine.store.read import Run

pytestmark = pytest.mark.long


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    """Three rounds of 140 records that a test may change."""
    shutil.copytree(cartpole.path, tmp_path / "run")
    return engine.open_run(tmp_path / "run")


def test_command_prints_a_line_a_round_and_the_summary(command: Command, run: Run, tmp_path: Path) -> None:
    said = command("interventions", run.path, "--orders", 2, "--evaluate", 4, "--rounds", "0-1", "--executor", "inline")
    assert said.code == 0, said.err
    assert "Of 2 rounds the removal helps in" in said.out
    assert "round 0 is finished (1/2" in said.err
    out = tmp_path / "out"
    arguments = ("interventions", run.path, "--orders", 2, "--evaluate", 4, "--executor", "inline", "--json")
    told = command(*arguments, "--out", out).json
    assert (told["run"], told["folder"], told["summary"]["rounds"]) == (str(run.path), str(out), 3)
    assert (out / "result.json").exists()
    assert command(*arguments).json["rounds"] == told["rounds"]
    refused(command(*arguments, "--drop-bottom", 0.5, "--out", out), "holds interventions with other settings")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rounds", "0-9"), "round 3 has no records"),
        (("--rounds", "few"), "must be numbers and ranges"),
        (("--drop-bottom", "2"), "must be above 0 and at most 1"),
        (("--executor", "magic"), "the executor is 'magic'"),
        (("--mode", "shuffle"), "unknown mode"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    command: Command,
    run: Run,
    arguments: tuple[str, ...],
    message: str,
    listing: Listing,
) -> None:
    before = listing(run.path)
    refused(command("interventions", run.path, *arguments), message)
    assert listing(run.path) == before


def test_a_folder_that_can_not_be_is_one_line(command: Command, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(command("interventions", run.path, "--out", tmp_path / "file" / "out"), "a folder is needed there")

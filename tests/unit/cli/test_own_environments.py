"""Environments of a person's own at the command line: named with --import and --make, or one line says that they must be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
from commands import Command, Listing, refused
from own_worlds import saying, write_package

import engine
from engine.__main__ import COMMANDS

PACKAGE = "own_worlds_of_commands"
SMALL = ("--rounds", 2, "--set", "n_steps=40", "--set", "n_epochs=1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person stands in a folder that has their package, which nothing has imported yet."""
    sys.modules.pop(PACKAGE, None)
    for name in [name for name in gym.registry if name.startswith("own/")]:
        monkeypatch.delitem(gym.registry, name)
    write_package(tmp_path, PACKAGE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.long
def test_in_processes_of_their_own_from_another_directory(command: Command, here: Path) -> None:
    """Train, retrain with episodes, play rollouts in workers; then the same here, where nothing was named."""
    root = str(Path(engine.__file__).parents[1])

    def said(*words: object) -> subprocess.CompletedProcess[str]:
        # -P: not even the working directory is looked at, but for what is named
        command = [sys.executable, "-P", "-m", "engine", *map(str, words)]
        outcome = subprocess.run(
            command,
            cwd=here,
            env=os.environ | {"PYTHONPATH": root},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr
        assert "Traceback" not in outcome.stderr
        return outcome

    named = ("--make", f"{PACKAGE}:walk")
    said("train", "--out", "run", *named, *SMALL)
    assert engine.open_run("run").manifest.schema_version == 4
    bottom = ("--drop-bottom", 0.5, "--orders", 2, "--evaluate", 2)
    retrain = ("retrain", "run", "--round", 0, *bottom, "--continue-rounds", 1)
    assert json.loads(said(*retrain, "--out", "without", "--json", *named).stdout)["counterfactual"]["episodes"] == 2
    assert json.loads(said("diagnose", "run", "--round", 0, "--rollouts", 2, "--json", *named).stdout)
    outcome = command(*retrain, "--out", "again")
    line = outcome.err.splitlines()[-1]
    assert outcome.code == 2
    assert line.startswith("error: can't play this run's environment 'Walk'")
    assert line.endswith("name a factory with --make")
    assert not (here / "again").exists()


def test_every_command_takes_what_is_allowed(command: Command) -> None:
    for each in COMMANDS:
        shown = command(each.__name__, "--help").out
        assert all(option in shown for option in ("--import", "--make", "--allow", "--base", "--download")), each


def test_what_can_not_be_imported_is_one_line_and_nothing_is_written(
    command: Command, here: Path, listing: Listing
) -> None:
    before = listing(here)
    with saying():
        refused(command("train", "own/Walk-v0", "--out", "run"), "unknown environment 'own/Walk-v0'", "--import")
        refused(
            command("train", "MountainCar-v0", "--out", "run", "--import", "not_there"), "there is no module not_there"
        )
        refused(command("train", "--out", "run"), "say what to train", "--make")
        refused(command("train", "--out", "run", "--make", "not_there:f"), "there is no module not_there")
        refused(command("train", "--out", "run", "--make", f"{PACKAGE}:no_environment"), "returns str")
        refused(
            command("train", "Acrobot-v1", "--out", "run", "--make", f"{PACKAGE}:pendulum"), "makes Pendulum-v1, not"
        )
        refused(command("train", "own/WholeNumbers-v0", "--out", "run", "--import", PACKAGE), "must be floats")
    assert {name for name in listing(here) if "__pycache__" not in name} == set(before)


def test_names_of_a_file(command: Command, here: Path, listing: Listing) -> None:
    (here / "names.json").write_text('{"action": ["left", "nothing", "right"]}')
    train = ("train", "MountainCar-v0", *SMALL)
    assert command(*train, "--out", "run", "--names", "names.json").code == 0
    assert engine.open_run("run").manifest.action_space.names == ("left", "nothing", "right")
    before = listing(here)
    for text, words in (
        ('{"action": ["left"]}', "action has 1 names; 3 are needed"),
        ('{"action": [1, 2, 3]}', "names: action is [1, 2, 3]; it must be a list of texts"),
        ('["left"]', "names: it must be an object"),
        ("{", "is not JSON"),
    ):
        (here / "names.json").write_text(text)
        refused(command(*train, "--out", "other", "--names", "names.json"), words)
    refused(command(*train, "--out", "other", "--names", "nowhere.json"), "--names nowhere.json can't be read")
    assert set(listing(here)) == set(before)


def test_one_that_never_repeats_is_trained_with_a_note(command: Command, here: Path) -> None:
    with saying():
        outcome = command("train", "own/Elsewhere-v0", "--out", "run", "--import", PACKAGE, *SMALL)
    assert outcome.code == 0
    assert "note: own/Elsewhere-v0 will not be played again: it draws from elsewhere" in outcome.err

"""What holds for every command: what it refuses in one line with exit code 2, and that it is a process like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Command, Listing, refused


def every_reader(run: object, tmp_path: Path) -> list[tuple[object, ...]]:
    """Each command that opens a run."""
    (tmp_path / "some.txt").write_text("1")
    return [
        ("show", run),
        ("verify", run),
        ("influence", run, "--round", 0),
        ("retrain", run, "--round", 0, "--drop-bottom", 0.5, "--out", tmp_path / "w"),
        ("retrain", run, "--round", 0, "--drop-file", tmp_path / "some.txt"),
        ("export", run, "--out", tmp_path / "w", "--rounds", "0"),
        ("train", "CartPole-v1", "--out", run, "--resume"),
    ]


def test_folder_that_is_not_a_run(command: Command, tmp_path: Path, listing: Listing) -> None:
    (tmp_path / "plain" / "below").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "plain", tmp_path / "nowhere", tmp_path / "file"):
        commands = every_reader(path, tmp_path)
        before = listing(tmp_path)
        for arguments in commands:
            refused(command(*arguments), str(path), "run")
        assert listing(tmp_path) == before
    refused(command("runs", tmp_path / "nowhere"), "not a folder")


def test_a_folder_of_runs_gets_a_hint(command: Command, run: Path) -> None:
    refused(command("show", run.parent), "is not a run", f"did you mean {run}?")


def test_newer_schema_is_refused_by_name(command: Command, run: Path, tmp_path: Path) -> None:
    manifest = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    for arguments in every_reader(run, tmp_path):
        refused(command(*arguments), "schema version 99", "update")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("kind", ["records", "checkpoint", "minibatches"])
def test_damaged_file_is_named(command: Command, run: Path, kind: str, tmp_path: Path, listing: Listing) -> None:
    (file,) = (run / "data").glob(f"000001-{kind}-*")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    before = listing(run)
    refused(command("influence", run, "--round", 1), file.name, "damaged")
    refused(command("retrain", run, "--round", 1, "--drop-bottom", 1, "--out", tmp_path / "w"), file.name, "damaged")
    refused(command("export", run, "--out", tmp_path / "w", "--rounds", "1"), file.name, "damaged")
    assert listing(run) == before
    assert command("influence", run, "--round", 0).code == 0, "the other rounds stay readable"


@pytest.mark.parametrize("damage", ["run.json cut", "commit gone", "commit changed", "data gone"])
def test_damaged_run_is_refused(command: Command, run: Path, damage: str) -> None:
    commit = run / "commits" / "000001.json"
    if damage == "run.json cut":
        (run / "run.json").write_bytes((run / "run.json").read_bytes()[:50])
    elif damage == "commit gone":
        commit.unlink()
    elif damage == "commit changed":
        commit.write_text(commit.read_text().replace('"rows"', '"rowz"'))
    else:
        next((run / "data").glob("000001-records-*")).unlink()
    refused(command("influence", run, "--round", 1))
    outcome = command("verify", run, "--json")
    assert outcome.code == 1
    assert outcome.json["ok"] is False
    assert outcome.json["damaged"]


def test_round_that_is_not_there(command: Command, run: Path, tmp_path: Path, listing: Listing) -> None:
    before = listing(run)
    for arguments in (
        ("influence", run),
        ("retrain", run, "--drop-bottom", 0.5, "--out", tmp_path / "w"),
        ("retrain", run, "--drop-bottom", 0.5),
    ):
        refused(command(*arguments, "--round", 7), "round 7 is not in this run", "rounds 0 to 2")
        refused(command(*arguments, "--round", -1), "round -1 is not in this run")
        refused(command(*arguments, "--round", 3), "3 is the final checkpoint")
        refused(command(*arguments), "--round")
    refused(command("export", run, "--out", tmp_path / "w", "--rounds", "7"), "round 7 is not in this run")
    refused(command("export", run, "--out", tmp_path / "w", "--rounds", "all"), "such as 0-9,20,30-39")
    assert listing(run) == before
    assert not (tmp_path / "w").exists()


def test_folder_that_can_not_be_written(command: Command, run: Path, tmp_path: Path, listing: Listing) -> None:
    """Below a regular file no folder can be made, not even by root."""
    (tmp_path / "file").write_text("x")
    below = tmp_path / "file" / "run"
    before = listing(tmp_path)
    refused(command("train", "CartPole-v1", "--out", below), "file")
    refused(command("train", "CartPole-v1", "--out", tmp_path / "file"), "file")
    refused(command("retrain", run, "--round", 1, "--drop-file", "nothing", "--out", below), "nothing")
    (tmp_path / "ids.txt").write_text("1")
    for out in (below, tmp_path / "file"):
        refused(command("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", "--out", out), "file")
    refused(command("export", run, "--out", below, "--rounds", "0"), "file")
    (tmp_path / "ids.txt").unlink()
    assert listing(tmp_path) == before


def test_no_command_and_an_unknown_one(command: Command) -> None:
    refused(command("attribute"), "attribute", "--help")
    assert command("--help").code == 0


@pytest.mark.long
def test_as_a_process(run: Path, tmp_path: Path) -> None:
    """As people start it: one JSON object on stdout, one line on stderr, exit codes that a shell sees."""

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "engine", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    good = call("show", run, "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["env_id"] == "CartPole-v1"
    assert good.stderr == ""
    bad = call("influence", run, "--round", 50)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert len(bad.stderr.splitlines()) == 1
    next((run / "data").glob("000001-*")).unlink()
    assert call("verify", run).returncode == 1

"""`python -m engine export` and `import`: what they print, and their JSON."""

from __future__ import annotations

from pathlib import Path

from commands import Command, refused


def test_export(command: Command, run: Path, tmp_path: Path) -> None:
    assert command("export", run, "--out", tmp_path / "thin", "--rounds", "0,2").code == 0
    rounds = command("show", tmp_path / "thin", "--json").json["rounds"]
    assert [(r["round"], r["stored"]) for r in rounds] == [(0, True), (1, False), (2, True)]
    refused(command("influence", tmp_path / "thin", "--round", 1), "round 1 keeps only metrics")


def test_export_to_one_file_and_import(command: Command, run: Path, tmp_path: Path) -> None:
    archive = tmp_path / "sent" / "mine.tar"
    outcome = command("export", run, "--archive", archive)
    assert (outcome.code, outcome.out) == (0, f"{archive}: 3 rounds, 3 with records\n")
    outcome = command("import", archive, "--into", tmp_path / "runs")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'runs' / 'mine'}: 3 rounds, 3 with records\n")
    whole, copy = (command("show", path, "--json").json for path in (run, tmp_path / "runs" / "mine"))
    assert {**copy, "run": ""} == {**whole, "run": ""}
    found = command("import", run, "--into", tmp_path / "runs", "--name", "other", "--json")
    assert found.json == {
        "run": str(tmp_path / "runs" / "other"),
        "rounds": 3,
        "stored": 3,
        "sets": 0,
        "left_out": {},
    }
    assert found.err == ""


def test_a_thinned_archive(command: Command, run: Path, tmp_path: Path) -> None:
    assert command("export", run, "--archive", tmp_path / "thin.tar", "--rounds", "1").code == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert command("import", tmp_path / "thin.tar", "--into", tmp_path, "--json").json["stored"] == 1


def test_where_to_is_said_once(command: Command, run: Path, tmp_path: Path) -> None:
    refused(command("export", run), "--out DIR for a folder, or --archive FILE")
    refused(command("export", run, "--out", tmp_path / "a", "--archive", tmp_path / "b"), "--out DIR for a folder")
    refused(command("import", run, "--into", tmp_path, "--memory", "0"), "memory is 0.0; it must be a number above 0")

"""`python -m engine retrain`: what it prints, its JSON, and removals that are refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command, Listing, refused
from jsonschema import Draft202012Validator
from recorded_policies import MODELS

import engine
from engine.cli.schema import run_format
from engine.intervention.origin import in_words
from engine.jobs.interventions import list_jobs
from engine.recording import sb3

SCHEMA = run_format()
SMALL = ("--orders", 2, "--evaluate", 4)


def test_retrain(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("[3, 5\n7 3]")
    arguments = ("--drop-file", tmp_path / "ids.txt", "--out", tmp_path / "without", "--mode", "rebatch")
    found = command("retrain", run, "--round", 1, *arguments, *SMALL, "--continue-rounds", 1, "--json").json
    for arm in ("original", "counterfactual", "control"):
        assert set(found[arm]) == {"mean", "low", "high", "episodes"}
        assert found[arm]["episodes"] == 4
    assert found["verdict"] in ("helps", "hurts", "within noise")
    assert found["removed"] == [3, 5, 7]
    assert found["run"] == str(tmp_path / "without")
    branch = command("show", found["run"], "--json").json
    assert branch["parent"]["removed"] == [3, 5, 7]
    assert [r["round"] for r in branch["rounds"]] == [1, 2]
    assert command("verify", found["run"]).code == 0


def test_retrain_the_bottom_for_people(command: Command, run: Path, tmp_path: Path) -> None:
    outcome = command("retrain", run, "--round", 1, "--drop-bottom", 0.5, "--out", tmp_path / "w", *SMALL)
    assert outcome.code == 0
    negative = (engine.influence(engine.open_run(run).snapshot(1), cache=False).influence < 0).sum()
    assert f"removed {negative // 2} of 140 records" in outcome.out
    assert "counterfactual" in outcome.out
    verdict = next(
        line for line in outcome.out.splitlines() if line.split(":")[0] in ("helps", "hurts", "within noise")
    )
    before = outcome.out.splitlines()[outcome.out.splitlines().index(verdict) - 1]
    assert before.startswith("Return without them: ")
    assert "The target " in before


def test_records_are_repaired(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("3 5")
    arguments = ("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", "--repair", *SMALL)
    outcome = command(*arguments, "--out", tmp_path / "w")
    assert "repaired 2 of 140 records" in outcome.out
    assert "\nReturn with them repaired: " in outcome.out
    assert command("show", tmp_path / "w", "--json").json["parent"]["repaired"] == [3, 5]
    found = command(*arguments, "--json").json
    assert (found["repair"], found["removed"]) == (True, [3, 5])
    Draft202012Validator({**SCHEMA["$defs"]["Result"], "$defs": SCHEMA["$defs"]}).validate(found)


def test_retrain_with_data_collected_anew(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("3 5")
    arguments = ("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", *SMALL, "--seeds", 2)
    outcome = command(*arguments, "--continue-rounds", 1, "--out", tmp_path / "w")
    assert "trained on for 1 rounds with data collected anew, 2 seeds" in outcome.out
    assert outcome.out.count("counterfactual") == 2
    refused(command(*arguments, "--out", tmp_path / "v"), "no rounds to train on", "continue_rounds")


def test_retrain_without_a_folder_keeps_it_beside_the_run(command: Command, run: Path, tmp_path: Path) -> None:
    """The same intervention again is answered at once with the same result."""
    (tmp_path / "ids.txt").write_text("3 5")
    arguments = ("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", *SMALL, "--json")
    first = command(*arguments)
    assert first.json["removed"] == [3, 5]
    [job] = list_jobs(engine.open_run(run))
    assert in_words(job.chosen) == "listed in a file"
    assert (run / "interventions").is_dir()
    assert engine.verify_run(first.json["run"]) == []
    again = command(*arguments)
    assert again.json == first.json
    assert "minibatch order" not in again.err
    assert engine.verify_run(run) == []


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ("", ("removed is (); it must be a list of at least 1",)),
        ("\n  ,\n", ("removed is (); it must be a list of at least 1",)),
        ("1 2 140", ("record 140 is out of range", "0 to 139")),
        ("-1", ("removed[0] is -1; it must be at least 0",)),
        ("99999999999999999999999", ("0 to 139",)),
        ("1.5", ("must hold record numbers",)),
        ("one two", ("must hold record numbers",)),
        (" ".join(map(str, range(140))), ("all 140 records would be removed", "keep at least one")),
    ],
)
def test_bad_drop_files(
    command: Command, run: Path, ids: str, words: tuple[str, ...], tmp_path: Path, listing: Listing
) -> None:
    (tmp_path / "ids.txt").write_text(ids)
    before = listing(run)
    arguments = ("--drop-file", tmp_path / "ids.txt", "--out", tmp_path / "w")
    refused(command("retrain", run, "--round", 1, *arguments, *SMALL), *words)
    assert not (tmp_path / "w").exists()
    assert {name for name in listing(run) if not name.startswith("derived")} == set(before)


@pytest.mark.parametrize("ids", ["1 2 140", "99999999999999999999999"])
def test_bad_drop_files_without_a_folder(
    command: Command, run: Path, ids: str, tmp_path: Path, listing: Listing
) -> None:
    (tmp_path / "ids.txt").write_text(ids)
    before = listing(run)
    refused(command("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", *SMALL), "0 to 139")
    assert {name for name in listing(run) if not name.startswith("derived")} == set(before)


def test_drop_file_that_can_not_be_read(command: Command, run: Path, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "nowhere.txt", tmp_path, tmp_path / "binary"):
        arguments = ("--drop-file", path, "--out", tmp_path / "w")
        refused(command("retrain", run, "--round", 1, *arguments), str(path), "record numbers")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("either --drop-bottom P or --drop-file",)),
        (("--drop-bottom", 0), ("above 0 and at most 1",)),
        (("--drop-bottom", 1.5), ("above 0 and at most 1",)),
        (("--drop-bottom", "nan"), ("above 0 and at most 1",)),
        (("--drop-bottom", 1e-6), ("no record is in the bottom",)),
        (("--drop-bottom", 0.5, "--mode", "shuffle"), ("must be mask or rebatch",)),
        (("--drop-bottom", 0.5, "--orders", 1), ("orders is 1", "from 2 to 4,096")),
        (("--drop-bottom", 0.5, "--evaluate", 3), ("episodes is 3", "at least one per order")),
        (("--drop-bottom", 0.5, "--continue-rounds", -1), ("continue_rounds is -1",)),
    ],
)
def test_bad_interventions(
    command: Command, run: Path, arguments: tuple[object, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    refused(command("retrain", run, "--round", 1, "--out", tmp_path / "w", *arguments), *words)
    assert not (tmp_path / "w").exists()


def test_retrain_where_nothing_can_be_played(command: Command, tmp_path: Path) -> None:
    """Which actions are allowed, only its environment knows; which is not registered here."""
    model = MODELS["masked"]()
    with sb3.Recorder(tmp_path / "theirs") as recorder:
        model.learn(2 * 64, callback=recorder)
    (tmp_path / "ids.txt").write_text("3 5 9")
    asked = ("retrain", tmp_path / "theirs", "--round", 0, "--drop-file", tmp_path / "ids.txt", "--orders", 2)
    outcome = command(*asked)
    assert outcome.code == 0
    assert "note: can't play this run's environment 'MaskedWorld'" in outcome.err
    assert "Nothing was played: can't play this run's environment 'MaskedWorld'" in outcome.out
    assert "KL from the original" in outcome.out
    assert "episodes" not in outcome.out.splitlines()[0]
    said = command(*asked, "--json").json
    assert any(line.startswith(f"{said['verdict']}: ") for line in outcome.out.splitlines())
    assert "so nothing is known of the return." in outcome.out
    assert "the records of round 1 (none of them in the update)" in outcome.out
    assert ([on["round"] for on in said["by_round"]], said["judged"]["rounds"]) == ([0, 1], [1])
    assert "original" not in said
    Draft202012Validator({**SCHEMA["$defs"]["UnplayedResult"], "$defs": SCHEMA["$defs"]}).validate(said)


def test_retrain_over_something_that_is_there(command: Command, run: Path, listing: Listing, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    before = listing(tmp_path)
    for out in (run, tmp_path / "full"):
        (tmp_path / "ids.txt").write_text("1")
        refused(command("retrain", run, "--round", 1, "--drop-file", tmp_path / "ids.txt", "--out", out), str(out))
    (tmp_path / "ids.txt").unlink()
    assert listing(tmp_path) == before

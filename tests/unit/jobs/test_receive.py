"""Importing a run of anybody's making: what arrives, what is refused in one line, and that nothing else is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import BadInputError, CancelledError, DamagedRunError, NotARunError, StorageError
from engine.intervention.record_sets import change_basket, read_sets, save_group
from engine.jobs.import_limits import LimitedFiles, Limits
from engine.jobs.receive import STAGING, receive
from engine.store import Files, open_run, verify_run
from engine.store.run_notes import RunNotes, change_run_notes, read_run_notes
from engine.store.transfer.archive import archive_run


@pytest.fixture
def made(run: Path) -> Path:
    """A run with notes, a basket and a group, an intervention and something else."""
    change_run_notes(run, lambda _: RunNotes("the good one", ("slow",)))
    change_basket(open_run(run), 1, [3, 5])
    save_group(open_run(run), 1, "two", [3, 5])
    (run / "interventions" / "0123456789ab").mkdir(parents=True)
    (run / "todo.txt").write_text("x")
    return run


@pytest.mark.parametrize("archived", [False, True])
def test_rounds_notes_and_sets_arrive(made: Path, tmp_path: Path, archived: bool) -> None:
    source = tmp_path / "sent.tar" if archived else made
    if archived:
        archive_run(made, source)
    told: list[tuple[int, int]] = []
    found = receive(source, tmp_path / "mine", progress=lambda _, done, total: told.append((done, total)))
    assert found.run.path == tmp_path / "mine" / ("sent" if archived else "cartpole")
    assert verify_run(found.run.path) == []
    assert found.run.stored_rounds == open_run(made).stored_rounds
    assert read_run_notes(found.run.path) == RunNotes("the good one", ("slow",))
    assert read_sets(found.run, 1).groups == {"two": [3, 5]}
    assert read_sets(found.run, 1).undo == read_sets(open_run(made), 1).undo
    assert found.left_out == ({} if archived else {"interventions": 1, "others": 1})
    assert found.sentence.endswith(
        "sets of records of 1 round" + ("" if archived else "; not taken over: 1 of interventions, 1 of others")
    )
    assert told[-1] == (3, 4)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [found.run.name]


def test_a_name_is_a_folder_of_its_own(made: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    assert receive(made, mine, "theirs").run.path == mine / "theirs"
    with pytest.raises(BadInputError, match=r"theirs is there already; choose another name with --name"):
        receive(made, mine, "theirs")
    for name in ("../up", "a/b", ".hidden", "-x y", "x" * 65):
        with pytest.raises(BadInputError, match=r"can't be a run's: say --name with up to 64 letters"):
            receive(made, mine, name)
    odd = made.rename(made.with_name("odd name"))
    with pytest.raises(BadInputError, match="what it is called, 'odd name' can't be a run's"):
        receive(odd, mine)
    with pytest.raises(BadInputError, match="nowhere does not exist; name a run's folder, or an archive"):
        receive(tmp_path / "nowhere", mine)
    assert [path.name for path in mine.iterdir()] == ["theirs"]


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(memory=0.05), r"more than 0\.05 GiB of memory(, so it was given up)?; allow more with --memory"),
        (Limits(seconds=0.01), r"longer than 0\.01 s, so it was given up; allow more with --seconds"),
        (Limits(disk=1e-6), r"more than 1e-06 GiB of disk; allow more with --disk"),
    ],
)
def test_what_takes_too_much_is_given_up(made: Path, tmp_path: Path, limits: Limits, says: str) -> None:
    with pytest.raises(StorageError, match=says):
        receive(made, tmp_path / "mine", limits=limits)
    assert list((tmp_path / "mine").iterdir()) == []


def test_what_is_not_a_run_or_is_damaged_leaves_nothing(made: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(NotARunError, match="plain is not a run"):
        receive(tmp_path / "plain", tmp_path / "mine")
    sets = made / "basket" / "000001.json"
    whole = sets.read_bytes()
    sets.write_bytes(whole.replace(b"5", b"6", 1))
    with pytest.raises(DamagedRunError, match=r"basket/000001\.json is damaged"):
        receive(made, tmp_path / "mine")
    sets.write_text(json.dumps({"sets": {"basket": [10**6]}}))
    with pytest.raises(DamagedRunError, match=r"it names records that round 1 does not have"):
        receive(made, tmp_path / "mine")
    sets.write_bytes(whole)
    next((made / "data").glob("000002-checkpoint*")).write_bytes(b"")
    with pytest.raises(DamagedRunError, match="000002-checkpoint"):
        receive(made, tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_killed_import_leaves_nothing_for_long(made: Path, tmp_path: Path) -> None:
    mine, files = tmp_path / "mine", Files()
    left, running = mine / f".left{STAGING}", mine / f".running{STAGING}"
    for folder in (left, running):
        (folder / "run").mkdir(parents=True)
        os.close(os.open(folder / "lock", os.O_CREAT))
    lock = files.lock(running / "lock")
    receive(made, mine)
    files.unlock(lock)
    assert sorted(path.name for path in mine.iterdir()) == [running.name, "cartpole"]


def test_who_cancels_is_left_with_nothing(made: Path, tmp_path: Path) -> None:
    def cancel(*_: object) -> None:
        raise CancelledError("enough")

    with pytest.raises(CancelledError):
        receive(made, tmp_path / "mine", progress=cancel)
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_module_beside_the_reader_is_not_taken_for_one_of_the_programs(made: Path, tmp_path: Path) -> None:
    """An archive is often opened where it was unpacked."""
    (tmp_path / "here" / "engine").mkdir(parents=True)
    for name in ("engine/__init__.py", "json.py", "sitecustomize.py"):
        (tmp_path / "here" / name).write_text("raise SystemExit('PLANTED')")
    shutil.move(made, tmp_path / "here" / "run")
    code = "from engine.jobs.receive import receive; print(receive('run', 'mine').run.path)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path / "here",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "mine/run\n"


def test_limited_files_count_all_that_is_written(tmp_path: Path) -> None:
    files = LimitedFiles(100)
    files.create(tmp_path / "a", bytes(60))
    with pytest.raises(StorageError, match="--disk"):
        files.create(tmp_path / "b", bytes(60))

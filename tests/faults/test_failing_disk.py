"""Every file operation of a writer fails once, in every way a disk or a process can fail."""

import os
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.faults.failing_files import CrashError, FailingFiles
from benchmarks.faults.made_up_rounds import (
    METRICS,
    assert_same_checkpoint,
    assert_same_snapshot,
    make_checkpoint,
    make_manifest,
    make_snapshot,
    write_run,
)
from engine.errors import DamagedRunError, EngineError, NotARunError, StorageError
from engine.store import Files, RunWriter, load_table, open_run, read_json, save_table, verify_run, write_json

ROUNDS = 2


def write(path: Path, files: Files, acknowledged: list[int]) -> None:
    """Create a run, write its rounds and its end, as far as the disk lets us."""
    with RunWriter.create(path, make_manifest(), files) as writer:
        write_on(writer, acknowledged)


def write_on(writer: RunWriter, acknowledged: list[int]) -> None:
    for k in range(writer.next_round or 0, ROUNDS):
        writer.commit_round(make_snapshot(k), METRICS)
        acknowledged.append(k)
    if (writer.next_round or 0) == ROUNDS:
        writer.commit_final(ROUNDS, make_checkpoint(ROUNDS))
        acknowledged.append(ROUNDS)


def check_what_is_there(path: Path, acknowledged: list[int]) -> None:
    """Every acknowledged round is there, whatever is there is whole, and at most one more than acknowledged is."""
    try:
        run = open_run(path)
    except NotARunError:
        assert acknowledged == []
        return
    there = [info.round for info in run.rounds] + ([run.final.round] if run.final else [])
    assert there[: len(acknowledged)] == acknowledged
    assert len(there) <= len(acknowledged) + 1
    assert verify_run(path) == []
    for info in run.rounds:
        assert_same_snapshot(run.snapshot(info.round), make_snapshot(info.round))


def operations(tmp_path: Path) -> list[str]:
    counting = FailingFiles(-1, "none")
    write(tmp_path / "counting", counting, [])
    return counting.done


@pytest.mark.parametrize("fault", ["full", "broken", "short", "crash", "torn"])
def test_a_run_survives_the_failure_of_any_operation(tmp_path: Path, fault: str) -> None:
    names = operations(tmp_path)
    assert {"open", "write", "fsync", "link", "unlink", "close", "mkdir", "lock_descriptor"} <= set(names)
    for index, name in enumerate(names):
        if fault in ("short", "torn") and name != "write":
            continue
        path = tmp_path / f"{index}"
        files = FailingFiles(index, fault)
        acknowledged: list[int] = []
        failure: BaseException | None = None
        try:
            write(path, files, acknowledged)
        except (EngineError, CrashError) as error:
            failure = error
        assert files.crashed or files.open == set(), "a file was left open"
        files.bury()
        if fault == "short":
            assert failure is None
        if isinstance(failure, EngineError):
            assert isinstance(failure, StorageError), (index, name)
            assert "\n" not in str(failure)
            assert "earlier rounds are safe" in str(failure)
            assert ("full" in str(failure)) == (fault == "full")
        elif fault in ("full", "broken"):
            assert acknowledged == [0, 1, 2], "only what can't matter any more (the lock) may fail silently"
        check_what_is_there(path, acknowledged)
        resume(path)


def resume(path: Path) -> None:
    """A sound disk again: the run can be finished, and then holds what it would have held without the failure."""
    started = (path / "run.json").exists()
    writer = RunWriter.append(path) if started else RunWriter.create(path, make_manifest())
    run = open_run(path)
    with writer:
        if run.final is None:
            write_on(writer, [])
    run.refresh()
    assert [info.round for info in run.rounds] == [0, 1]
    assert_same_checkpoint(run.checkpoint(2), make_checkpoint(2))
    assert verify_run(path) == []


@pytest.mark.parametrize("operation", ["write", "fsync", "link"])
def test_a_writer_whose_disk_failed_refuses_further_commits_and_never_tries_again(
    tmp_path: Path, operation: str
) -> None:
    files = FailingFiles(-1, "broken")
    with RunWriter.create(tmp_path / "run", make_manifest(), files) as writer:
        before = len(files.done)
        writer.commit_round(make_snapshot(0), METRICS)
        files.index = len(files.done) + files.done[before:].index(operation)
        with pytest.raises(StorageError):
            writer.commit_round(make_snapshot(1), METRICS)
        assert files.done.count("fsync") <= files.index
        seen = len(files.done)
        with pytest.raises(StorageError, match="an earlier write failed; open the run again"):
            writer.commit_round(make_snapshot(1), METRICS)
        assert len(files.done) == seen, "it touched the disk"


@pytest.mark.parametrize("fault", ["full", "broken", "short"])
def test_reading_from_a_failing_disk_is_an_error_in_one_line_or_right(tmp_path: Path, fault: str) -> None:
    path = write_run(tmp_path / "run", rounds=1)
    counting = FailingFiles(-1, "none")
    open_run(path, counting).snapshot(0)
    for index in range(len(counting.done)):
        files = FailingFiles(index, fault)
        try:
            snapshot = open_run(path, files).snapshot(0)
        except StorageError as error:
            failure = str(error)
        else:
            failure = ""
            assert_same_snapshot(snapshot, make_snapshot(0))
        assert "\n" not in failure
        assert not (failure and fault == "short")
        assert files.open == set(), "a file was left open"


def test_verify_reports_files_that_can_not_be_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", rounds=1)
    counting = FailingFiles(-1, "none")
    assert verify_run(path, counting) == []
    for index in (i for i, name in enumerate(counting.done) if name == "read"):
        assert len(verify_run(path, FailingFiles(index, "broken"))) == 1


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    class ReadOnly(Files):
        def call(self, operation, *args, **kwargs):
            if operation is os.mkdir:
                raise PermissionError(13, "Permission denied")
            return operation(*args, **kwargs)

    with pytest.raises(StorageError) as caught:
        RunWriter.create(tmp_path / "run", make_manifest(), ReadOnly())
    assert str(tmp_path) in str(caught.value)
    assert "choose a folder that you may write to" in str(caught.value)


def test_the_cache_never_raises_and_never_lies(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", rounds=1)
    old, new = pa.table({"influence": [1.0, 2.0]}), pa.table({"influence": [3.0]})
    counting = FailingFiles(-1, "none")
    save_table(path, "ab", old, {}, counting)
    for fault in ("full", "broken", "crash", "torn"):
        for index in range(len(counting.done) + 4):
            save_table(path, "ab", old, {})
            files = FailingFiles(index, fault)
            try:
                kept = save_table(path, "ab", new, {}, files)
            except CrashError:
                kept = False
            files.bury()
            found = load_table(path, "ab")
            assert found is not None
            assert found["influence"].to_pylist() == [3.0] or (not kept and len(found) == 2)


def test_a_document_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    old, new = {"step": "old" * 50}, {"step": "new"}
    counting = FailingFiles(-1, "none")
    write_json(path, old, counting)
    for fault in ("full", "broken", "crash", "torn", "short"):
        for index in range(len(counting.done)):
            write_json(path, old)
            files = FailingFiles(index, fault)
            with suppress(StorageError, CrashError):
                write_json(path, new, files)
            files.bury()
            found = read_json(path)
            assert found is not None
            assert found.values in (old, new)


def test_what_is_not_a_regular_file_is_not_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", rounds=1)
    records = next((path / "data").glob("*-records-*"))
    elsewhere = tmp_path / "elsewhere.parquet"
    records.rename(elsewhere)
    for make in (
        lambda: records.symlink_to(elsewhere),
        lambda: os.mkfifo(records),
        records.mkdir,
    ):
        make()
        with pytest.raises(DamagedRunError, match=records.name):
            open_run(path).snapshot(0)
        assert [found.file for found in verify_run(path)] == [f"data/{records.name}"]
        records.rmdir() if records.is_dir() and not records.is_symlink() else records.unlink()

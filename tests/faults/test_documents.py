"""What people make of a run: no fault of a disk empties it, changes it unseen, or takes what was acknowledged."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.faults.failing_files import CrashError, FailingFiles, through
from benchmarks.faults.made_up_rounds import write_run
from engine.errors import DamagedRunError, EngineError, StorageError, TooLargeError
from engine.intervention import record_sets
from engine.intervention.notes import read_note, write_note
from engine.intervention.record_sets import change_basket, read_sets, save_group
from engine.store import Files, open_run, read_json, verify_documents, verify_run, write_json
from engine.store.parquet import to_parquet
from engine.store.results_table import read_results_table, write_results

SAMPLE = Path(__file__).parents[2] / "sample_runs" / "FrozenLake-v1"


@pytest.mark.parametrize("fault", ["full", "broken", "short", "crash"])
def test_a_failed_operation_never_empties_the_basket(tmp_path: Path, fault: str) -> None:
    """Whatever fails, the basket is the old one or the new one, and what is reported as done is done."""
    counting = FailingFiles(-1, "none")
    run = open_run(write_run(tmp_path / "run"))
    change_basket(run, 1, add=[1])
    with through(counting):
        change_basket(run, 1, add=[2])
    refused = 0
    for index in range(len(counting.done)):
        change_basket(run, 1, add=[1], remove=None)
        failing = FailingFiles(index, fault)
        record_sets._as_written.cache_clear()
        done = False
        with suppress(EngineError, CrashError), through(failing):
            change_basket(run, 1, add=[2])
            done = True
        failing.bury()
        refused += not done
        assert read_sets(run, 1).basket in ([[1, 2]] if done else [[1], [1, 2]]), (fault, index)
    assert refused > 0 or fault == "short"


def test_a_basket_that_may_not_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(write_run(tmp_path / "run"))
    change_basket(run, 1, add=[1])
    before = (run.path / "basket" / "000001.json").read_bytes()

    def refuse(_self: Files, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if operation is os.read:
            raise OSError(errno.EACCES, "Permission denied")
        return operation(*args, **kwargs)

    record_sets._as_written.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(Files, "call", refuse)
        with pytest.raises(StorageError):
            change_basket(run, 1, add=[2])
        with pytest.raises(StorageError):
            read_sets(run, 1)
    assert (run.path / "basket" / "000001.json").read_bytes() == before


def bits_of(data: bytes) -> list[bytes]:
    """`data` with each single bit changed, one after another."""
    return [
        data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        for place in range(len(data))
        for bit in range(8)
    ]


def test_every_changed_bit_of_a_document_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "000001.json"
    write_json(path, {"sets": {"basket": [1, 20]}, "mean": -0.5, "note": "ä 1", "none": None, "deep": [{"a": True}]})
    data = path.read_bytes()
    read = read_json(path)
    assert read is not None
    assert read.checked
    for changed in bits_of(data):
        path.write_bytes(changed)
        with pytest.raises(DamagedRunError, match=r"000001.json is damaged"):
            read_json(path)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DamagedRunError):
            read_json(path)


@pytest.fixture
def worked_on(tmp_path: Path) -> Path:
    """A run with an intervention, a basket, a group and a note."""
    shutil.copytree(SAMPLE, tmp_path / "run", ignore=shutil.ignore_patterns("derived", "basket", "*.lock"))
    run = open_run(tmp_path / "run")
    change_basket(run, 8, add=[1, 2])
    save_group(run, 8, "odd", [3])
    for folder in (run.path / "interventions").iterdir():
        write_note(folder, "why?")
    for path in [*run.path.glob("interventions/*/*.json"), *run.path.glob("interventions/*/branch/result.json")]:
        document = read_json(path)
        assert document is not None
        write_json(path, document.values)
    return run.path


def documents_of(run: Path) -> list[Path]:
    return [
        run / "basket" / "000008.json",
        *run.glob("interventions/*/*.json"),
        *run.glob("interventions/*/branch/r*t.json"),
    ]


def test_verify_names_every_document_that_changed(worked_on: Path) -> None:
    assert verify_run(worked_on) == []
    assert verify_documents(worked_on) == ([], [])
    documents = documents_of(worked_on)
    names = {path.name for path in documents}
    assert names == {"000008.json", "intervention.json", "status.json", "note.json", "result.json"}
    for path in documents:
        data = path.read_bytes()
        place = next(i for i in range(len(data) - 1, 0, -1) if chr(data[i]).isdigit() or chr(data[i]).isalpha())
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        file = path.relative_to(worked_on).as_posix()
        assert [damage.file for damage in verify_run(worked_on)] == [file]
        if path.name == "result.json":
            assert [damage.file for damage in verify_run(path.parent)] == ["result.json"]
        path.write_bytes(data)


def test_what_earlier_versions_wrote_is_unchecked_and_not_damaged(worked_on: Path) -> None:
    for path in documents_of(worked_on):
        document = read_json(path)
        assert document is not None
        path.write_text(json.dumps(document.values, indent=1) + "\n")
    damage, unchecked = verify_documents(worked_on)
    assert damage == []
    assert unchecked == sorted(path.relative_to(worked_on).as_posix() for path in documents_of(worked_on))
    assert read_sets(open_run(worked_on), 8).groups == {"odd": [3]}
    assert [read_note(folder) for folder in (worked_on / "interventions").iterdir()] == ["why?", "why?"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe[", "not UTF-8"),
        (b"[" * 10**5 + b"]" * 10**5, "nested"),
        (b"[" * 100 + b"]" * 100, "nested"),
        (b'{"a": 1' + b"0" * 400 + b"}", "more than 64 bits"),
        (b'{"a": "\\ud83d"}', "half a character"),
        (b'{"a": 1', "not JSON"),
        (b"", "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_json_that_nobody_writes_ends_in_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedRunError, match=problem) as said:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(said.value)


def test_a_document_that_is_too_large_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "basket.json"
    path.touch()
    os.truncate(path, 2**33)  # holes take no room on the disk
    with pytest.raises(TooLargeError, match="at most 64 MiB"):
        read_json(path)


def test_only_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "missing.json") is None
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "missing.json")
    for name in ("pipe", "folder", "link"):
        with pytest.raises(DamagedRunError):
            read_json(tmp_path / f"{name}.json")


def test_every_changed_bit_of_a_table_of_results_changes_nothing_unseen(tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    table = pa.table({"arm": ["ppo", "iif 0.5"], "seed": pa.array([0, 1], pa.int32()), "test_return": [0.5, None]})
    write_results(path, table)
    assert read_results_table(path) == (table, True)
    data, unseen = path.read_bytes(), 0
    for changed in bits_of(data)[::5]:
        path.write_bytes(changed)
        with suppress(DamagedRunError):
            found, checked = read_results_table(path)
            unseen += checked and found != table
    assert unseen == 0
    path.write_bytes(to_parquet(table))
    assert read_results_table(path) == (table, False), "an earlier version wrote it"


def test_a_folder_whose_name_is_no_text_makes_sound_documents(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"run": os.fsdecode(b"runs/\xff"), "note": "ä 🙂"})
    read = read_json(path)
    assert read is not None
    assert read.values == {"run": "runs/?", "note": "ä 🙂"}
    assert read.checked

"""Every moment of dropping rounds: a failing disk, a kill. What no commit dropped is there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from test_processes import drain, start
from writer_process import write_dropping

from benchmarks.faults import dropping
from benchmarks.faults.failing_files import CrashError, FailingFiles
from benchmarks.faults.made_up_rounds import METRICS, make_snapshot
from engine.errors import StorageError
from engine.store import Files, RunWriter, open_run, verify_run

__all__ = ["start"]


class Ordered(Files):
    """Writes down what becomes durable and what is removed, in order."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.names: dict[int, Path] = {}

    def call(self, operation, *args, **kwargs):
        result = operation(*args, **kwargs)
        if operation is os.open:
            self.names[result] = args[0]
        if operation is os.unlink and args[0].suffix == ".parquet":
            self.order.append(f"unlink {args[0].name[:10]}")
        if operation is os.fsync and self.names[args[0]].is_dir():
            self.order.append(f"fsync {self.names[args[0]].name}")
        return result


def test_files_are_removed_once_the_commit_is_durable(tmp_path: Path) -> None:
    files = Ordered()
    with RunWriter.create(tmp_path / "run", dropping.manifest(), files) as writer:
        for k in range(2):
            writer.commit_round(make_snapshot(k), METRICS)
        files.order.clear()
        writer.commit_round(make_snapshot(2), METRICS, [0])
    removed = [f"unlink 000000-{kind}" for kind in ("rec", "min", "che")]
    assert files.order == ["fsync data", "fsync commits", *removed]


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Two rounds of such a run, and nothing dropped yet."""
    with RunWriter.create(tmp_path / "begun", dropping.manifest()) as writer:
        for k in range(2):
            writer.commit_round(make_snapshot(k), METRICS)
    return tmp_path / "begun"


def interrupted(path: Path, index: int, fault: str) -> tuple[list[str], list[int], BaseException | None]:
    """Go on with a run as far as the disk lets us: what was done, which commits are acknowledged, how it ended."""
    files, acknowledged = FailingFiles(index, fault), [0, 1]
    failure: BaseException | None = None
    try:
        dropping.write(path, files, acknowledged.append)
    except (StorageError, CrashError) as error:
        failure = error
    files.bury()
    return files.done, acknowledged, failure


@pytest.mark.long
@pytest.mark.parametrize("fault", ["broken", pytest.param("crash", marks=pytest.mark.slow), "torn"])
def test_dropping_survives_the_failure_of_any_operation(tmp_path: Path, begun: Path, fault: str) -> None:
    names = interrupted(copytree(begun, tmp_path / "counting"), -1, "none")[0]
    assert names.count("unlink") == 3 + 9, "temporary names, and the files that are dropped"
    writes = len(names) - 1 - names[::-1].index("lock_descriptor")
    for index, name in enumerate(names):
        if index < writes or (fault == "torn" and name != "write"):
            continue
        path = copytree(begun, tmp_path / f"{index}")
        _, acknowledged, failure = interrupted(path, index, fault)
        assert failure is None or isinstance(failure, CrashError) or "earlier rounds are safe" in str(failure)
        committed = dropping.check(path)
        assert committed[: len(acknowledged)] == acknowledged
        assert len(committed) <= len(acknowledged) + 1
        assert dropping.check(dropping.write(path)) == [*range(dropping.ROUNDS + 1)]
        assert {name[:6] for name in dropping.on_disk(path)} == {"000003", "000004"}, "what was not removed is swept"


def test_a_failed_removal_stops_the_writer(tmp_path: Path) -> None:
    files = FailingFiles(-1, "broken")
    with RunWriter.create(tmp_path / "run", dropping.manifest(), files) as writer:
        writer.commit_round(make_snapshot(0), METRICS)
        before = len(files.done)
        writer.commit_round(make_snapshot(1), METRICS)
        files.index = len(files.done) + (len(files.done) - before)
        with pytest.raises(StorageError, match="earlier rounds are safe"):
            writer.commit_round(make_snapshot(2), METRICS, [0])
        assert files.done[-1] == "unlink"
        with pytest.raises(StorageError, match="an earlier write failed; open the run again"):
            writer.commit_round(make_snapshot(3), METRICS)
    assert open_run(tmp_path / "run").stored_rounds == [1, 2]


def test_a_damaged_commit_is_named_and_not_what_it_dropped(tmp_path: Path) -> None:
    path = dropping.write(tmp_path / "run")
    for k in dropping.DROPS:
        commit = path / "commits" / f"{k:06d}.json"
        data = commit.read_bytes()
        commit.write_bytes(data.replace(b'"round"', b'"wound"', 1))
        assert [damage.file for damage in verify_run(path)] == [f"commits/{commit.name}"]
        commit.write_bytes(data)
    next((path / "data").glob("000003-records-*")).unlink()
    assert len(verify_run(path)) == 1, "what no commit dropped is missed"


@pytest.mark.slow
def test_a_writer_killed_while_it_drops(tmp_path: Path, start) -> None:
    """Every commit drops the round three before it."""
    path, rng, debris = tmp_path / "run", np.random.default_rng(4), 0
    for attempt in range(60):
        if attempt >= 12 and debris > 1:
            break
        process, pipe = start(write_dropping, path, 10_000)
        acknowledged = [pipe.recv()]
        time.sleep(rng.uniform(0, 0.012))
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += drain(pipe)
        process.join()
        pipe.close()
        run = open_run(path)
        last = run.rounds[-1].round
        assert last in (acknowledged[-1], acknowledged[-1] + 1)
        assert run.stored_rounds == [k for k in range(last + 1) if k > last - 3]
        dropping.check(path, {k: (k - 3,) for k in range(3, last + 1)})
        there = {file.name for file in (path / "data").iterdir()}
        assert there >= run.kept.names
        debris += there > run.kept.names
        RunWriter.append(path).close()
        assert {file.name for file in (path / "data").iterdir()} == run.kept.names
    assert debris > 1, "the kills missed the commits"

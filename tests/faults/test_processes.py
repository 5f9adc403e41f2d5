"""Real processes: killed in the middle of a commit, refused beside another writer, read while they write."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from writer_process import try_to_append, write_rounds

from benchmarks.faults.made_up_rounds import METRICS, assert_same_snapshot, make_manifest, make_snapshot
from engine.errors import LockedRunError
from engine.store import RunWriter, open_run, verify_run

KILLS = 20


@pytest.fixture(scope="module")
def start() -> Callable[..., tuple[BaseProcess, Connection]]:
    """Start a function in a process of its own, quickly: the server has imported what takes long already.

    It can't import `writer_process` itself: Python 3.11's does not know the path of the tests, and would say nothing.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["engine.store", "engine.kinds.control.kind"])

    def run(target: Callable[..., None], *args: object) -> tuple[BaseProcess, Connection]:
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=target, args=(*args, theirs), daemon=True)
        process.start()
        theirs.close()
        return process, mine

    return run


def drain(pipe: Connection) -> list[int]:
    """Everything that was said before the other side died."""
    said = []
    try:
        while True:
            said.append(pipe.recv())
    except EOFError:
        return said


@pytest.mark.slow
def test_acknowledged_rounds_survive_being_killed_in_the_middle_of_a_commit(tmp_path: Path, start) -> None:
    path = tmp_path / "run"
    rng = random.Random(3)
    committed = 0
    debris = 0
    for _ in range(KILLS):
        process, pipe = start(write_rounds, path, 10_000)
        acknowledged = [pipe.recv()]
        time.sleep(rng.uniform(0, 0.012))
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += drain(pipe)
        process.join()
        run = open_run(path)
        there = [info.round for info in run.rounds]
        assert there == list(range(len(there)))
        assert acknowledged == list(range(acknowledged[0], acknowledged[-1] + 1))
        assert acknowledged[0] in (committed, committed + 1), "a round was lost or made twice"
        assert len(there) - 1 in (acknowledged[-1], acknowledged[-1] + 1)
        for k in there[committed:]:
            assert_same_snapshot(run.snapshot(k), make_snapshot(k))
        committed = acknowledged[-1] + 1
        named = {file.name for commit in run._commits.values() for file in commit.files}
        debris += {file.name for file in (path / "data").iterdir()} > named
        pipe.close()
    assert debris > KILLS // 10, "the kills missed the commits"
    assert verify_run(path) == []
    with RunWriter.append(path) as writer:
        writer.commit_round(make_snapshot(writer.next_round), METRICS)
    assert verify_run(path) == []


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path, start) -> None:
    path = tmp_path / "run"
    with RunWriter.create(path, make_manifest()) as writer:
        writer.commit_round(make_snapshot(0), METRICS)
        answer = start(try_to_append, path)[1].recv()
        assert answer == (f"LockedRunError: {path} is being written by another process; wait for it or stop it")
        with pytest.raises(LockedRunError):
            RunWriter.append(path)
        writer.commit_round(make_snapshot(1), METRICS)
    assert start(try_to_append, path)[1].recv() == "no error"


def test_two_writers_without_a_working_lock_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunWriter.create(path, make_manifest()) as first:
        (path / "writer.lock").unlink()
        with RunWriter.append(path) as second:
            first.commit_round(make_snapshot(0), METRICS)
            with pytest.raises(LockedRunError, match="another writer has committed round 0"):
                second.commit_round(make_snapshot(0), METRICS)
    assert_same_snapshot(open_run(path).snapshot(0), make_snapshot(0))
    assert verify_run(path) == []


def test_a_reader_beside_a_writer_sees_whole_rounds_only(tmp_path: Path, start) -> None:
    path = tmp_path / "run"
    process, pipe = start(write_rounds, path, 250)
    pipe.recv()
    live = open_run(path)
    rng = random.Random(4)
    sizes = []
    deadline = time.monotonic() + 240
    while len(live.rounds) < 250:
        assert time.monotonic() < deadline
        live.refresh()
        fresh = open_run(path)
        sizes.append(len(fresh.rounds))
        assert fresh.rounds[: len(live.rounds)] == live.rounds
        for k in (len(fresh.rounds) - 1, rng.randrange(len(fresh.rounds))):
            assert_same_snapshot(fresh.snapshot(k), make_snapshot(k))
        assert process.is_alive() or len(open_run(path).rounds) == 250
    process.join()
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 5, "the reader did not run beside the writer"
    assert verify_run(path) == []

"""Stopping: work that looks for itself, work that does not, and work in other processes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from engine.errors import BadInputError, CancelledError, LockedRunError
from engine.executors import run_tasks
from engine.jobs.folder import is_worked_on, read_status, write_status
from engine.jobs.supervise import Begin, supervise
from engine.store.documents import write_json
from engine.store.files import Files


def cancel_soon(folder: Path) -> None:
    threading.Timer(0.3, lambda: write_json(folder / "cancel", {"time": 1.0})).start()


def sleep_long(task: int) -> None:
    time.sleep(100)


def steps(begin: Begin) -> None:
    progress = begin()
    for step in range(10_000):
        progress("stepping", step, 10_000)
        time.sleep(0.01)


def one_step(begin: Begin) -> None:
    begin()
    time.sleep(100)


def pool(begin: Begin) -> None:
    progress = begin()
    for _ in run_tasks(sleep_long, [1, 2], "processes", 2):
        progress("waiting", 1, 2)


@pytest.mark.parametrize("work", [steps, one_step, pool])
def test_a_cancelled_job_ends_within_seconds(tmp_path: Path, work: object) -> None:
    cancel_soon(tmp_path)
    begun = time.monotonic()
    with pytest.raises(CancelledError, match="cancelled"):
        supervise(tmp_path, None, work)  # type: ignore[arg-type]
    assert time.monotonic() - begun < 20
    assert read_status(tmp_path).state == "cancelled"
    assert not is_worked_on(tmp_path)


def test_work_that_was_cancelled_before_it_began_is_not_begun(tmp_path: Path) -> None:
    write_json(tmp_path / "cancel", {"time": 1.0})
    done: list[int] = []

    def work(begin: Begin) -> None:
        begin()
        done.append(1)

    with pytest.raises(CancelledError):
        supervise(tmp_path, None, work)
    assert done == []


def test_a_failure_is_said_in_the_status(tmp_path: Path) -> None:
    write_status(tmp_path, "queued", "waiting for the worker", 0, 1)

    def refuse(begin: Begin) -> None:
        raise BadInputError("there is no such round")

    with pytest.raises(BadInputError):
        supervise(tmp_path, None, refuse)
    assert (read_status(tmp_path).state, read_status(tmp_path).doing) == ("failed", "there is no such round")


def test_a_second_worker_changes_nothing(tmp_path: Path) -> None:
    write_status(tmp_path, "running", "at it", 1, 3)
    lock = Files().lock(tmp_path / "worker.lock")
    with pytest.raises(LockedRunError, match="another worker"):
        supervise(tmp_path, None, steps)
    Files().unlock(lock)
    assert read_status(tmp_path).doing == "at it"


@pytest.mark.parametrize(("left", "words"), [("3 min left", "tracin_adam, 3 min left"), ("", "tracin_adam")])
def test_the_time_left_is_told_apart_from_what_is_done(tmp_path: Path, left: str, words: str) -> None:
    write_status(tmp_path, "running", "tracin_adam", 30, 40, left)
    job = read_status(tmp_path)
    assert (job.doing, job.left, job.in_words, job.share) == ("tracin_adam", left, words, 0.75)

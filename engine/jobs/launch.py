"""Start the process that works on a job. It outlives a page, and the server that started it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from engine.allowed import allowed
from engine.errors import EngineError, LockedRunError, StorageError
from engine.executors import PROCESSES, Pool
from engine.jobs.folder import LOCK_FILE, LOG_FILE, write_status
from engine.store.files import Files, inside

ROOT = Path(__file__).resolve().parents[2]
"""Where `python -m engine.jobs` is found, wherever the server was started."""
LAST_MOMENTS_SECONDS = 2.0
"""How long a worker is waited for that has said how it ended, and holds its lock still."""


_pool = PROCESSES


def hand_tasks_to(pool: Pool) -> Pool:
    """Say where the jobs that this process starts have their tasks done, and return where they had.

    Raises:
        BadInputError: as `Pool.check`.
    """
    global _pool
    pool.check()
    before, _pool = _pool, pool
    return before


def jobs_pool() -> Pool:
    """Where the jobs that this process starts have their tasks done."""
    return _pool


def launch(folder: Path) -> None:
    """Start the worker of a job that waits for one, unless another has come first.

    It holds the job's lock from its first moment on. What the person at the keyboard allows, and where tasks are done, are its
    arguments.

    Args:
        folder: the job's, with its question and the state `queued`.

    Raises:
        DamagedRunError: the job's lock or log is no plain file; its status says so.
        StorageError: the run's folder can't be written, or no process can be started.
    """
    try:
        with suppress(LockedRunError):
            _start(folder, (*jobs_pool().options, *allowed().options))
    except EngineError as error:
        write_status(folder, "failed", str(error), 0, 1)
        raise


def _start(folder: Path, options: tuple[str, ...]) -> None:
    lock = Files().lock(inside(folder, LOCK_FILE), wait=LAST_MOMENTS_SECONDS)
    try:
        with _open_log(inside(folder, LOG_FILE)) as log:
            subprocess.Popen(
                [sys.executable, "-m", "engine.jobs", str(folder.resolve()), "--lock", str(lock), *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
            )
    except OSError as error:
        raise StorageError(
            f"no process can be started ({error.strerror}); close something, then start it again"
        ) from error
    finally:
        os.close(lock)  # the worker holds it now


def _open_log(path: Path) -> BinaryIO:
    """An empty log for a process to write to."""
    return os.fdopen(Files().kept_open(path, emptied=True), "wb")

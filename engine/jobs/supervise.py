"""Do the work of a job as its only worker: keep its lock, say how far it is, end when it is asked to."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from engine.errors import CancelledError, EngineError, LockedRunError
from engine.executors import Progress
from engine.jobs.folder import LOCK_FILE, State, is_cancelled, write_status
from engine.store.files import Files, inside
from engine.terminal import Estimate

STATUS_SECONDS = 0.3
LOOK_SECONDS = 0.2
"""Between two looks for the file `cancel` while the work does not look itself."""
GRACE_SECONDS = 1.0
"""How long the work may take to see that it is cancelled, between two steps, before it is interrupted within one."""
LOCK_SECONDS = 1.0
"""Somebody who looks whether there is a worker holds the lock for a moment."""

T = TypeVar("T")
Begin = Callable[[], Progress]
"""Says that there is something to be done, and gives what is told how far it is."""


def supervise(folder: Path, report: Progress | None, work: Callable[[Begin], T], *, lock: int | None = None) -> T:
    """Do the work of a folder as the only worker; `status.json` says how far it is and how it ended.

    Args:
        folder: with the work's lock and status.
        report: is told what `status.json` says.
        work: does it; it asks for the progress to report to when there is something to be done.
        lock: the job's lock, where whoever started the process took it.

    Raises:
        CancelledError: the file `cancel` appeared; what was finished is kept.
        LockedRunError: another worker is at it.
        EngineError: as the work; `status.json` says so too.
    """
    files = Files()
    lock = _lock(files, folder) if lock is None else lock
    status = _Status(folder, report)
    try:
        with _interrupted_when_cancelled(folder):
            result = work(status.begin)
        status.end("done", "finished")
    except (CancelledError, KeyboardInterrupt) as stop:
        status.end("cancelled", "cancelled")
        if isinstance(stop, KeyboardInterrupt) and is_cancelled(folder):
            raise CancelledError("cancelled") from None
        raise
    except EngineError as error:
        status.end("failed", str(error))
        raise
    except BaseException as error:
        status.end("failed", f"{type(error).__name__}: {error}; see log.txt in {folder}")
        raise
    finally:
        files.unlock(lock)
    return result


def _lock(files: Files, folder: Path) -> int:
    try:
        return files.lock(inside(folder, LOCK_FILE), wait=LOCK_SECONDS)
    except LockedRunError:
        raise LockedRunError(f"another worker is at the job {folder.name}; wait for it") from None


@contextmanager
def _interrupted_when_cancelled(folder: Path) -> Iterator[None]:
    """Interrupt the work, as Ctrl-C does, where it is cancelled and does not see it itself.

    It does not while it waits for other processes, or where a single step takes long. Only what Ctrl-C interrupts is
    interrupted: the main thread of a process that does not ignore it.
    """
    main = threading.current_thread()
    if main is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            if is_cancelled(folder):
                if not over.wait(GRACE_SECONDS):
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


class _Status:
    """Writes `status.json` a few times a second, and watches for the file `cancel`."""

    def __init__(self, folder: Path, report: Progress | None) -> None:
        self.folder, self.report = folder, report
        self.begun, self.last, self.left = False, 0.0, Estimate()
        self.done, self.total = 0, 1

    def begin(self) -> Progress:
        self.begun = True
        self._write("running", "starting")
        self._look()
        return self

    def __call__(self, doing: str, done: int, total: int) -> None:
        self.done, self.total = done, total
        self._look()
        if self.report is not None:
            self.report(doing, done, total)
        left = self.left(done, total).removeprefix(", ")
        if time.monotonic() - self.last > STATUS_SECONDS:
            self._write("running", doing, left)
            self.last = time.monotonic()

    def end(self, state: State, doing: str) -> None:
        if state == "done":
            if not self.begun:  # it was done before
                return
            self.done = self.total
        try:
            self._write(state, doing)
        except CancelledError:
            return  # nobody is there to be told

    def _look(self) -> None:
        if is_cancelled(self.folder):
            raise CancelledError("cancelled")

    def _write(self, state: State, doing: str, left: str = "") -> None:
        try:
            write_status(self.folder, state, doing, self.done, self.total, left)
        except FileNotFoundError:  # a calculation's folder is a cache
            raise CancelledError(f"{self.folder} was deleted, so nobody waits for this any more") from None

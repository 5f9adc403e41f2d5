"""A job's folder: how far the work is, whether a worker is alive, and how it is asked to stop."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from engine.errors import BadInputError, DamagedRunError, LockedRunError, StorageError
from engine.store.documents import read_json, set_aside, write_json
from engine.store.files import Files, inside
from engine.store.find import INTERVENTION
from engine.typed import Finite, typed

State = Literal["queued", "running", "done", "cancelled", "failed", "stale"]
ACTIVE: frozenset[State] = frozenset({"queued", "running"})
STATUS_FILE, CANCEL_FILE, LOCK_FILE, LOG_FILE = "status.json", "cancel", "worker.lock", "log.txt"
START_SECONDS = 15.0
"""A job that has waited longer than this without a worker is stale."""
SWEPT_SECONDS = 60.0
"""So old is a file that a killed writer left in a job's folder, rather than one that is being written."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as its folder tells it."""

    id: str
    folder: Path
    state: State
    doing: str
    """What the worker does now, or why it failed."""
    done: int
    total: int
    left: str = ""
    """The time that what the worker does now takes still, `3 min left`; empty while it is not known."""

    @property
    def in_words(self) -> str:
        """What the worker does now, and the time left."""
        return f"{self.doing}, {self.left}" if self.left else self.doing

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop, and has not stopped yet."""
        return self.state in ACTIVE and is_cancelled(self.folder)

    @property
    def share(self) -> float:
        """Of what the worker does now, from 0 to 1."""
        return min(self.done / self.total, 1.0)


@dataclass(frozen=True)
class Status:
    """What `status.json` says."""

    state: State
    doing: str
    done: int
    total: int
    time: Finite
    left: str = ""


J = TypeVar("J", bound=Job)


def read_status(folder: Path) -> Job:
    """How far the work in a folder is; without a state that can be read it is stale, unless a worker is at it."""
    job, age = _as_written(folder)
    # A clock that was set back makes the age negative: nobody knows how old the job is then.
    waits = job.state == "queued" and 0 <= age < START_SECONDS
    if job.state not in ACTIVE or waits or is_worked_on(folder):
        return job
    job, _ = _as_written(folder)  # the worker may have ended between the two looks; what it wrote last counts
    return replace(job, state="stale") if job.state in ACTIVE else job


def _as_written(folder: Path) -> tuple[Job, float]:
    """What `status.json` says, and its age in seconds."""
    job = Job(id=folder.name, folder=folder, state="running", doing="", done=0, total=1)
    try:
        document = read_json(inside(folder, STATUS_FILE))
        status = typed(Status, {} if document is None else document.values, more=True)
    except (DamagedRunError, BadInputError):
        return job, START_SECONDS
    done, total = max(status.done, 0), max(status.total, 1)
    found = replace(job, state=status.state, doing=status.doing, done=done, total=total, left=status.left)
    return found, time.time() - status.time


def is_worked_on(folder: Path) -> bool:
    """Whether a living worker holds the job's lock; a process that dies loses it."""
    files, lock = Files(), folder / LOCK_FILE
    try:
        if files.exists(inside(folder, LOCK_FILE)):
            files.unlock(files.lock(lock))
    except LockedRunError:
        return True
    except (StorageError, DamagedRunError):  # a folder that can't be written, or a lock that is none, has no worker
        return False
    return False


def write_status(folder: Path, state: State, doing: str, done: int, total: int, left: str = "") -> None:
    """Replace `status.json`.

    Raises:
        FileNotFoundError: the folder is gone.
        StorageError: the run's folder can't be written.
    """
    status = {"state": state, "doing": doing, "done": done, "total": total, "time": time.time(), "left": left}
    write_json(inside(folder, STATUS_FILE), status, durable=state not in ACTIVE)


def is_cancelled(folder: Path) -> bool:
    """Whether the work was asked to stop."""
    return (folder / CANCEL_FILE).exists()


def request_cancel(job: Job) -> None:
    """Ask the worker to stop; where none is alive, and none has ended it, the job is marked as cancelled at once.

    Raises:
        StorageError: the run's folder can't be written.
    """
    write_json(inside(job.folder, CANCEL_FILE), {"time": time.time()})
    if not is_worked_on(job.folder) and _as_written(job.folder)[0].state in ACTIVE:
        write_status(job.folder, "cancelled", "cancelled", job.done, job.total)


def clear_cancel(folder: Path) -> None:
    """Take back what asked an earlier worker to stop, and what killed writers left."""
    cancel = folder / CANCEL_FILE
    if cancel.is_dir() and not cancel.is_symlink():
        set_aside(cancel)
    with suppress(FileNotFoundError):
        Files().remove(cancel)
    Files().sweep(folder, older_than=SWEPT_SECONDS)


def read_each(folders: Iterable[Path], read: Callable[[Path], J | None]) -> tuple[list[J], list[str]]:
    """The jobs in several folders, and a line on each that can't be read."""
    found, problems = [], []
    for folder in folders:
        try:
            job = read(folder)
        except (DamagedRunError, StorageError) as error:
            problems.append(str(error))
            continue
        if job is not None:
            found.append(job)
    return found, problems


def folders_with_ids(run_path: Path, *names: str) -> list[Path]:
    """The folders in a folder of the run that are named like an intervention, sorted; links are passed over."""
    try:
        place = inside(run_path, *names)
        found = [place / name for name in Files().names(place) if INTERVENTION.fullmatch(name)]
    except (FileNotFoundError, StorageError, DamagedRunError):
        return []
    return [folder for folder in found if stat.S_ISDIR(folder.lstat().st_mode)]

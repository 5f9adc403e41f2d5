"""What a person leaves beside a run: interventions; chosen records are in `record_sets`.

Names among the interventions are twelve hexadecimal digits; any other is not there. Plans, states and results are documents.

```
<run>/interventions/<id>/intervention.json   what to remove and how
<run>/interventions/<id>/status.json         how far the work is; replaced as a whole
<run>/interventions/<id>/cancel              its presence asks the work to stop
<run>/interventions/<id>/worker.lock         held by the one worker that is at it
<run>/interventions/<id>/log.txt             what the worker printed
<run>/interventions/<id>/branch/             the branch run with result.json, once finished
<run>/interventions/across/                  interventions repeated at every round, see `across`
```
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

from engine.core.estimators import DEFAULT_ESTIMATOR
from engine.core.influence import influence
from engine.core.kind import kind_of, named_target
from engine.core.replay import check_replayable
from engine.errors import DamagedRunError, LockedRunError, StorageError, ZeroGradientError
from engine.intervention.outcome import RESULT_FILE, check_outcome
from engine.intervention.plan import Intervention
from engine.intervention.retrain import PARTIAL
from engine.store.documents import Document, read_json, write_json
from engine.store.files import Files, inside
from engine.store.find import INTERVENTION
from engine.store.read import Run
from engine.store.snapshot import Snapshot

State = Literal["queued", "running", "done", "cancelled", "failed", "stale"]
STATES: tuple[State, ...] = ("queued", "running", "done", "cancelled", "failed", "stale")
ACTIVE: frozenset[State] = frozenset({"queued", "running"})
LOCK_FILE = "worker.lock"
START_SECONDS = 15.0
"""A job that has waited longer than this without a worker is stale."""
SWEPT_SECONDS = 60.0
"""So old is a file that a killed writer left in a job's folder, rather than one that is being written."""


def intervention_id(snapshot: Snapshot, plan: Intervention) -> str:
    """Twelve hexadecimal digits; equal interventions on equal snapshots have equal ids."""
    text = json.dumps({"snapshot": snapshot.hash, **plan.to_json()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Background work as its folder tells it."""

    id: str
    folder: Path
    state: State
    doing: str
    """What the worker does now, or why it failed."""
    done: int
    total: int


W = TypeVar("W", bound=Work)


@dataclass(frozen=True, kw_only=True)
class Job(Work):
    """An intervention on disk: its plan, how far it is, and its result."""

    plan: Intervention
    about: dict[str, Any]
    """What else `intervention.json` says: where the records came from, what was predicted."""

    result: dict[str, Any] | None = None
    """What `retrain` returned, once it is done."""
    checked: bool = True
    """Whether plan and result have checksums; False where an earlier version wrote them."""

    @property
    def run_path(self) -> Path:
        """The parent run."""
        return self.folder.parent.parent


def predicted(
    snapshot: Snapshot, plan: Intervention, estimator: str = DEFAULT_ESTIMATOR, orders: int = 1
) -> dict[str, Any]:
    """What the scores say of a removal: estimator, and the summed influence of what is removed (None: zero gradient)."""
    about: dict[str, Any] = {"estimator": estimator, "orders": orders, "summed_influence": None}
    try:
        target = named_target(snapshot, plan.measured)
        scores = influence(snapshot, target, estimator, orders=orders)
    except ZeroGradientError:
        return about
    return about | {"summed_influence": float(scores.influence[list(plan.removed)].sum())}


def create_job(run: Run, snapshot: Snapshot, plan: Intervention, about: dict[str, Any]) -> tuple[Job, bool]:
    """Write an intervention to disk, ready for a worker.

    Returns:
        The job, and whether a worker is to be started; one that is done or running is given back as it is.

    Raises:
        BadInputError: a record is out of range, all would be removed, or the round's update can't be replayed.
        StorageError: the run's folder can't be written.
    """
    check_replayable(snapshot)
    kind_of(snapshot).removed(snapshot, plan.removed)
    named_target(snapshot, plan.measured)
    folder = inside(run.path, "interventions", intervention_id(snapshot, plan))
    try:
        known = read_job(folder)
    except DamagedRunError:  # the plan is known; the file that does not say it any more is kept
        set_aside(folder / "intervention.json")
        known = None
    if known is not None and (known.state in ACTIVE or known.state == "done"):
        return known, False
    files = Files()
    files.make_folder(folder)
    clear_debris(folder)
    if files.exists(folder / "branch"):  # without a sound result nobody can tell what is in it
        set_aside(folder / "branch")
    document = {"plan": plan.to_json(), "about": about, "created": time.time()}
    write_json(inside(folder, "intervention.json"), document, files)
    write_status(folder, "queued", "waiting for the worker", 0, 1)
    job = read_job(folder)
    if job is None:
        raise StorageError(f"{folder} can't be read back; the run's folder must be readable and writable")
    return job, True


def read_job(folder: Path) -> Job | None:
    """The intervention in a folder, or None if there is none.

    A result that is missing or damaged leaves a job that failed and can be started again.

    Raises:
        DamagedRunError: its plan is not what was written.
        StorageError: the disk refused.
    """
    document = read_json(inside(folder, "intervention.json"))
    if document is None:
        return None
    try:
        plan = Intervention.from_json(document.values["plan"])
        about = {**document.values["about"], "created": float(document.values["created"])}
        datetime.fromtimestamp(about["created"])
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise DamagedRunError(f"interventions/{folder.name}/intervention.json is damaged: it holds no plan") from error
    work = read_work(folder)
    try:
        kept = _read_result(folder)
    except (DamagedRunError, StorageError) as error:
        kept, work = None, replace(work, state="failed", doing=f"{error}; start it again")
    if kept is not None:
        work = replace(work, state="done")
    elif work.state == "done":
        work = replace(work, state="failed", doing="its result is missing; start it again")
    checked = document.checked and (kept is None or kept.checked)
    return Job(plan=plan, about=about, result=None if kept is None else kept.values, checked=checked, **vars(work))


def _read_result(folder: Path) -> Document | None:
    """The result in the branch, None where there is none yet. Errors as `documents.read_json`."""
    document = read_json(inside(folder, "branch", RESULT_FILE))
    if document is not None:
        check_outcome(document.values, f"branch/{RESULT_FILE}")
    return document


def read_work(folder: Path) -> Work:
    """How far the work in a folder is; without a state that can be read it is stale, unless a worker is at it."""
    work = Work(id=folder.name, folder=folder, state="running", doing="", done=0, total=1)
    try:
        document = read_json(inside(folder, "status.json"))
        status: Any = {} if document is None else document.values
        written: State = STATES[STATES.index(status["state"])]
        work = replace(
            work,
            state=written,
            doing=str(status["doing"]),
            done=max(int(status["done"]), 0),
            total=max(int(status["total"]), 1),
        )
        age = time.time() - float(status["time"])
    except (DamagedRunError, KeyError, TypeError, ValueError, OverflowError):
        age = START_SECONDS
    # A clock that was set back makes the age negative: nobody knows how old the job is then.
    if work.state == "queued" and 0 <= age < START_SECONDS:
        return work
    return replace(work, state="stale") if work.state in ACTIVE and not _is_locked(folder) else work


def _is_locked(folder: Path) -> bool:
    """Whether a living worker holds the job's lock; a process that dies loses it."""
    files = Files()
    try:
        files.unlock(files.lock(inside(folder, LOCK_FILE)))
    except LockedRunError:
        return True
    except (StorageError, DamagedRunError):  # a folder that can't be written, or a lock that is none, has no worker
        return False
    return False


def list_jobs(run: Run) -> list[Job]:
    """The interventions on a run, newest first; see `damaged_jobs` for those that can't be read."""
    return sorted(read_each(_folders(run), read_job)[0], key=lambda job: -job.about["created"])


def damaged_jobs(run: Run) -> list[str]:
    """What is wrong with the interventions that `list_jobs` passes over, a line each."""
    return read_each(_folders(run), read_job)[1]


def read_each(folders: Iterable[Path], read: Callable[[Path], W | None]) -> tuple[list[W], list[str]]:
    """The work in several folders, and a line on each whose work can't be read."""
    found, problems = [], []
    for folder in folders:
        try:
            work = read(folder)
        except (DamagedRunError, StorageError) as error:
            problems.append(str(error))
            continue
        if work is not None:
            found.append(work)
    return found, problems


def _folders(run: Run) -> Iterator[Path]:
    """The folders of a run's interventions, whose names are ids; links and all others are passed over."""
    yield from folders_with_ids(run.path, "interventions")


def folders_with_ids(run_path: Path, *names: str) -> list[Path]:
    """The folders in a folder of the run that are named like an intervention, sorted."""
    try:
        place = inside(run_path, *names)
        found = [place / name for name in Files().names(place) if INTERVENTION.fullmatch(name)]
    except (FileNotFoundError, StorageError, DamagedRunError):
        return []
    return [folder for folder in found if stat.S_ISDIR(folder.lstat().st_mode)]


def set_aside(path: Path) -> None:
    """Give what is damaged a hidden name beside it, so that it is kept and in nobody's way."""
    Files().rename(path, path.with_name(f".{path.name}.damaged-{uuid4().hex[:8]}"))


def clear_debris(folder: Path) -> None:
    """Take away what a worker that was cancelled or killed left in its folder."""
    cancel = folder / "cancel"
    if cancel.is_dir() and not cancel.is_symlink():
        set_aside(cancel)
    cancel.unlink(missing_ok=True)
    for debris in folder.glob(f".*{PARTIAL}"):
        shutil.rmtree(debris, ignore_errors=True)
    Files().sweep(folder, older_than=SWEPT_SECONDS)


def write_status(folder: Path, state: State, doing: str, done: int, total: int) -> None:
    """Replace `status.json`."""
    status = {"state": state, "doing": doing, "done": done, "total": total, "time": time.time()}
    write_json(inside(folder, "status.json"), status, durable=state not in ACTIVE)


def request_cancel(job: Work) -> None:
    """Ask the worker to stop; where none is alive the job is marked as cancelled at once.

    Raises:
        StorageError: the run's folder can't be written.
    """
    write_json(inside(job.folder, "cancel"), {"time": time.time()})
    if not _is_locked(job.folder):
        write_status(job.folder, "cancelled", "cancelled", job.done, job.total)

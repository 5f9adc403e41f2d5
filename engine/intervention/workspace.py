"""What a person leaves beside a run: interventions; chosen records are in `record_sets`.

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
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from engine.attribution.estimators import DEFAULT_ESTIMATOR
from engine.attribution.influence import influence
from engine.attribution.targets import named_target
from engine.errors import LockedRunError, StorageError, ZeroGradientError
from engine.intervention.plan import Intervention
from engine.intervention.retrain import PARTIAL, RESULT_FILE
from engine.learning.replay import check_replayable
from engine.store.derived import read_json, write_json
from engine.store.files import Files
from engine.store.read import Run
from engine.store.sequences import LanguageSnapshot
from engine.store.snapshot import Snapshot

State = Literal["queued", "running", "done", "cancelled", "failed", "stale"]
STATES: tuple[State, ...] = ("queued", "running", "done", "cancelled", "failed", "stale")
ACTIVE: frozenset[State] = frozenset({"queued", "running"})
LOCK_FILE = "worker.lock"
START_SECONDS = 15.0
"""A job that has waited longer than this without a worker is stale."""
RESULT_KEYS = frozenset(
    {"original", "counterfactual", "control", "difference", "verdict", "target", "removed", "same_machine"}
)


def intervention_id(snapshot: Snapshot | LanguageSnapshot, plan: Intervention) -> str:
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


@dataclass(frozen=True, kw_only=True)
class Job(Work):
    """An intervention on disk: its plan, how far it is, and its result."""

    plan: Intervention
    about: dict[str, Any]
    """What else `intervention.json` says: where the records came from, what was predicted."""

    @property
    def result(self) -> dict[str, Any] | None:
        """What `retrain` returned, once it is done; None if it is not there or not such a result."""
        result = read_json(self.folder / "branch" / RESULT_FILE)
        return result if isinstance(result, dict) and result.keys() >= RESULT_KEYS else None

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


def create_job(
    run: Run, snapshot: Snapshot | LanguageSnapshot, plan: Intervention, about: dict[str, Any]
) -> tuple[Job, bool]:
    """Write an intervention to disk, ready for a worker (of a language model's run: `engine.rlhf.worker`).

    Returns:
        The job, and whether a worker is to be started; one that is done or running is given back as it is.

    Raises:
        BadInputError: a record is out of range, all would be removed, or the round's update can't be replayed.
        StorageError: the run's folder can't be written.
    """
    snapshot.without(plan.removed)
    if isinstance(snapshot, Snapshot):
        check_replayable(snapshot)
        named_target(snapshot, plan.measured)
    folder = run.path / "interventions" / intervention_id(snapshot, plan)
    known = read_job(folder)
    if known is not None and (known.state in ACTIVE or known.state == "done"):
        return known, False
    Files().make_folder(folder)
    (folder / "cancel").unlink(missing_ok=True)
    for debris in folder.glob(f".*{PARTIAL}"):
        shutil.rmtree(debris, ignore_errors=True)
    write_json(folder / "intervention.json", {"plan": plan.to_json(), "about": about, "created": time.time()})
    write_status(folder, "queued", "waiting for the worker", 0, 1)
    job = read_job(folder)
    if job is None:
        raise StorageError(f"{folder} can't be read back; the run's folder must be readable and writable")
    return job, True


def read_job(folder: Path) -> Job | None:
    """The intervention in a folder, or None if there is none that can be understood."""
    described: Any = read_json(folder / "intervention.json")
    try:
        plan = Intervention.from_json(described["plan"])
        about = {**described["about"], "created": float(described["created"])}
        job = Job(plan=plan, about=about, **vars(read_work(folder)))
    except (KeyError, TypeError, ValueError):
        return None
    return replace(job, state="done") if job.result is not None else job


def read_work(folder: Path) -> Work:
    """How far the work in a folder is.

    Raises:
        KeyError, TypeError, ValueError: `status.json` is not there or can't be understood.
    """
    status: Any = read_json(folder / "status.json")
    return Work(
        id=folder.name,
        folder=folder,
        state=_state(folder, status),
        doing=str(status["doing"]),
        done=max(int(status["done"]), 0),
        total=max(int(status["total"]), 1),
    )


def _state(folder: Path, status: dict[str, Any]) -> State:
    """What `status.json` says, unless it says that a worker is at it and none is."""
    state: State = STATES[STATES.index(status["state"])]
    if state == "queued" and time.time() - float(status["time"]) < START_SECONDS:
        return state
    return "stale" if state in ACTIVE and not _is_locked(folder) else state


def _is_locked(folder: Path) -> bool:
    """Whether a living worker holds the job's lock; a process that dies loses it."""
    files = Files()
    try:
        files.unlock(files.lock(folder / LOCK_FILE))
    except LockedRunError:
        return True
    except StorageError:  # a folder that can't be written has no worker
        return False
    return False


def list_jobs(run: Run) -> list[Job]:
    """The interventions on a run, newest first."""
    try:
        folders = sorted((run.path / "interventions").iterdir())
    except OSError:
        return []
    jobs = [job for place in folders if (job := read_job(place)) is not None]
    return sorted(jobs, key=lambda job: -job.about["created"])


def write_status(folder: Path, state: State, doing: str, done: int, total: int) -> None:
    """Replace `status.json`."""
    write_json(
        folder / "status.json", {"state": state, "doing": doing, "done": done, "total": total, "time": time.time()}
    )


def request_cancel(job: Work) -> None:
    """Ask the worker to stop; where none is alive the job is marked as cancelled at once.

    Raises:
        StorageError: the run's folder can't be written.
    """
    write_json(job.folder / "cancel", {"time": time.time()})
    if job.state == "stale":
        write_status(job.folder, "cancelled", "cancelled", job.done, job.total)

"""What a person leaves beside a run: the basket of chosen records, and interventions.

```
<run>/basket/000012.json                     records chosen in round 12, not yet removed
<run>/interventions/<id>/intervention.json   what to remove and how
<run>/interventions/<id>/status.json         how far the work is; replaced as a whole
<run>/interventions/<id>/cancel              its presence asks the work to stop
<run>/interventions/<id>/log.txt             what the worker printed
<run>/interventions/<id>/branch/             the branch run with result.json, once finished
```
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import BadInputError
from engine.intervention.retrain import PARTIAL, RESULT_FILE, Intervention
from engine.store.derived import read_json, write_json
from engine.store.read import Run
from engine.store.snapshot import Snapshot

State = Literal["queued", "running", "done", "cancelled", "failed", "stale"]
ACTIVE: frozenset[State] = frozenset({"queued", "running"})
STALE_AFTER = 30.0
"""Seconds without a sign of life after which a worker counts as dead."""


def read_basket(run: Run, round: int) -> list[int]:
    """The records in the basket of a round, sorted."""
    values = read_json(_basket(run, round))
    return sorted({v for v in values if isinstance(v, int)}) if isinstance(values, list) else []


def write_basket(run: Run, round: int, records: Iterable[int]) -> None:
    """Replace the basket of a round.

    Raises:
        StorageError: the run's folder can't be written.
    """
    path = _basket(run, round)
    _make_folder(path.parent)
    write_json(path, sorted({int(i) for i in records}))


def _basket(run: Run, round: int) -> Path:
    return run.path / "basket" / f"{round:06d}.json"


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"{path} can't be made ({error.strerror}); the run's folder must be writable") from None


def intervention_id(snapshot: Snapshot, plan: Intervention) -> str:
    """Twelve hexadecimal digits; equal interventions on equal snapshots have equal ids."""
    text = json.dumps({"snapshot": snapshot.hash, **asdict(plan)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Job:
    """An intervention on disk: its plan, how far it is, and its result."""

    id: str
    folder: Path
    plan: Intervention
    about: dict[str, Any]
    """What else `intervention.json` says: where the records came from, what was predicted."""
    state: State
    doing: str
    """What the worker does now, or why it failed."""
    done: int
    total: int

    @property
    def result(self) -> dict[str, Any] | None:
        """What `retrain` returned, once it is done."""
        return read_json(self.folder / "branch" / RESULT_FILE)

    @property
    def run_path(self) -> Path:
        """The parent run."""
        return self.folder.parent.parent


def create_job(run: Run, snapshot: Snapshot, plan: Intervention, about: dict[str, Any]) -> Job:
    """Write an intervention to disk, ready for a worker; one that is done or running is given back as it is.

    Raises:
        BadInputError: a record is out of range, or all would be removed.
    """
    snapshot.without(plan.removed)
    folder = run.path / "interventions" / intervention_id(snapshot, plan)
    known = read_job(folder)
    if known is not None and (known.state in ACTIVE or known.state == "done"):
        return known
    _make_folder(folder)
    (folder / "cancel").unlink(missing_ok=True)
    for debris in folder.glob(f".*{PARTIAL}"):
        shutil.rmtree(debris, ignore_errors=True)
    write_json(folder / "intervention.json", {"plan": asdict(plan), "about": about, "created": time.time()})
    write_status(folder, "queued", "waiting for the worker", 0, 1)
    job = read_job(folder)
    if job is None:
        raise BadInputError(f"{folder} can't be read back; the run's folder must be readable and writable")
    return job


def read_job(folder: Path) -> Job | None:
    """The intervention in a folder, or None if there is none."""
    described: Any = read_json(folder / "intervention.json")
    status: Any = read_json(folder / "status.json")
    try:
        plan = {**described["plan"], "removed": tuple(described["plan"]["removed"])}
        state: State = status["state"]
        if state in ACTIVE and not _alive(status):
            state = "stale"
        return Job(
            folder.name,
            folder,
            Intervention(**plan),
            {**described["about"], "created": described["created"]},
            state,
            status["doing"],
            status["done"],
            status["total"],
        )
    except (KeyError, TypeError):
        return None


def list_jobs(run: Run) -> list[Job]:
    """The interventions on a run, newest first."""
    folder = run.path / "interventions"
    folders = sorted(folder.iterdir()) if folder.is_dir() else []
    jobs = [job for place in folders if (job := read_job(place)) is not None]
    return sorted(jobs, key=lambda job: -job.about["created"])


def write_status(folder: Path, state: State, doing: str, done: int, total: int, pid: int | None = None) -> None:
    """Replace `status.json`."""
    status = {"state": state, "doing": doing, "done": done, "total": total, "pid": pid, "heartbeat": time.time()}
    write_json(folder / "status.json", status)


def request_cancel(job: Job) -> None:
    """Ask the worker to stop; one that is dead is marked as cancelled at once."""
    (job.folder / "cancel").touch()
    if job.state == "stale":
        write_status(job.folder, "cancelled", "cancelled", job.done, job.total)


def _alive(status: dict[str, Any]) -> bool:
    if time.time() - status["heartbeat"] < STALE_AFTER:
        return status["pid"] is None or _process_is_there(status["pid"])
    return False


def _process_is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

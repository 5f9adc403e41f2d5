"""Removals and repairs as jobs: made from a plan, read back with their result, listed.

Names among the interventions are twelve hexadecimal digits; any other is not there. Plans, states and results are documents.

```
<run>/interventions/<id>/intervention.json   what to remove or repair, and how
<run>/interventions/<id>/branch/             the branch run with result.json, once finished
```
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from engine.core.chosen_targets import named_target
from engine.core.estimators.registry import DEFAULT_ESTIMATOR
from engine.core.influence import influence
from engine.core.kind import kind_of
from engine.errors import BadInputError, DamagedRunError, StorageError, ZeroGradientError
from engine.intervention.origin import Chosen
from engine.intervention.outcome import RESULT_FILE, Outcome, UnplayedOutcome, outcome_of
from engine.intervention.plan import Intervention, check_possible
from engine.jobs.folder import ACTIVE, Job, clear_cancel, folders_with_ids, read_each, read_status, write_status
from engine.store.at_once import PARTIAL
from engine.store.documents import Document, read_json, set_aside, write_json
from engine.store.files import Files, inside
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.typed import Moment, typed

PLAN_FILE = "intervention.json"


@dataclass(frozen=True)
class WrittenIntervention:
    """What `intervention.json` says."""

    plan: Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/$defs/WrittenPlan"})]
    about: dict[str, Any]
    created: Moment
    chosen: tuple[Chosen, ...] = ()
    """Where the removed records came from; none: not kept."""


def intervention_id(snapshot: Snapshot, plan: Intervention) -> str:
    """Twelve hexadecimal digits; equal interventions on equal snapshots have equal ids."""
    text = json.dumps({"snapshot": snapshot.hash, **plan.to_json()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class InterventionJob(Job):
    """An intervention on disk: its plan, how far it is, and its result."""

    plan: Intervention
    metadata: dict[str, Any]
    """What else `intervention.json` says: what was predicted, and when it was begun."""
    chosen: tuple[Chosen, ...] = ()
    """Where the removed records came from; none: not kept."""

    result: Outcome | UnplayedOutcome | None = None
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
    """What the scores say of a removal: estimator, and the summed influence of what is removed.

    That is None where the target's gradient is zero, and of a repair: influence says nothing of other advantages.
    """
    metadata: dict[str, Any] = {"estimator": estimator, "orders": orders, "summed_influence": None}
    if plan.repair:
        return metadata
    try:
        target = named_target(snapshot, plan.measured)
        scores = influence(snapshot, target, estimator, orders=orders)
    except ZeroGradientError:
        return metadata
    return metadata | {"summed_influence": float(scores.influence[list(plan.removed)].sum())}


def create_job(
    run: Run, snapshot: Snapshot, plan: Intervention, metadata: dict[str, Any], chosen: Sequence[Chosen] = ()
) -> tuple[InterventionJob, bool]:
    """Write an intervention to disk, ready for a worker.

    Args:
        run: the run.
        snapshot: its round.
        plan: what to remove or repair.
        metadata: see `predicted`.
        chosen: where the removed records came from.

    Returns:
        The job, and whether a worker is to be started; one that is done or running is given back as it is, but for one in
        which nothing could be played where it can be now.

    Raises:
        BadInputError: a record is out of range or can't be repaired, all would be removed, or the round's update can't be
            replayed.
        StorageError: the run's folder can't be written.
    """
    check_possible(snapshot, plan)
    named_target(snapshot, plan.measured)
    folder = inside(run.path, "interventions", intervention_id(snapshot, plan))
    try:
        known = read_job(folder)
    except DamagedRunError:  # the plan is known; the file that does not say it any more is kept
        set_aside(folder / PLAN_FILE)
        known = None
    if known is not None and (
        known.state in ACTIVE or (known.state == "done" and not _can_be_played_now(known, snapshot))
    ):
        return known, False
    files = Files()
    files.make_folder(folder)
    clear_cancel(folder)
    for debris in folder.glob(f".*{PARTIAL}"):
        shutil.rmtree(debris, ignore_errors=True)
    if files.exists(folder / "branch"):  # without a sound result nobody can tell what is in it, or nothing was played
        set_aside(folder / "branch")
    document = {"plan": plan.to_json(), "about": metadata, "created": time.time()}
    if chosen:
        document["chosen"] = [part.to_json() for part in chosen]
    write_json(inside(folder, PLAN_FILE), document, files)
    write_status(folder, "queued", "waiting for the worker", 0, 1)
    job = read_job(folder)
    if job is None:
        raise StorageError(f"{folder} can't be read back; the run's folder must be readable and writable")
    return job, True


def _can_be_played_now(job: InterventionJob, snapshot: Snapshot) -> bool:
    """Whether nothing was played in it, and the reader has named since what it takes."""
    return isinstance(job.result, UnplayedOutcome) and not kind_of(snapshot).unplayed(snapshot)


def read_job(folder: Path) -> InterventionJob | None:
    """The intervention in a folder, or None if there is none.

    A result that is missing or damaged leaves a job that failed and can be started again.

    Raises:
        DamagedRunError: its plan is not what was written.
        StorageError: the disk refused.
    """
    document = read_json(inside(folder, PLAN_FILE))
    if document is None:
        return None
    try:
        written = typed(WrittenIntervention, document.values, more=True)
        plan = Intervention.from_json(written.plan)
    except BadInputError as error:
        place = f"interventions/{folder.name}/{PLAN_FILE}"
        raise DamagedRunError(f"{place} is damaged: it holds no plan ({error})") from error
    metadata = {**written.about, "created": written.created}
    job = read_status(folder)
    try:
        kept = _read_result(folder)
    except (DamagedRunError, StorageError) as error:
        kept, job = None, replace(job, state="failed", doing=f"{error}; start it again")
    if kept is not None:
        job = replace(job, state="done")
    elif job.state == "done":
        job = replace(job, state="failed", doing="its result is missing; start it again")
    checked = document.checked and (kept is None or kept[1].checked)
    return InterventionJob(
        plan=plan,
        metadata=metadata,
        chosen=written.chosen,
        result=None if kept is None else kept[0],
        checked=checked,
        **vars(job),
    )


def _read_result(folder: Path) -> tuple[Outcome | UnplayedOutcome, Document] | None:
    """The result in the branch and its document, None where there is none yet. Errors as `documents.read_json`."""
    document = read_json(inside(folder, "branch", RESULT_FILE))
    return None if document is None else (outcome_of(document.values, f"branch/{RESULT_FILE}"), document)


def list_jobs(run: Run) -> list[InterventionJob]:
    """The interventions on a run, newest first; see `damaged_jobs` for those that can't be read."""
    return sorted(read_each(_folders(run), read_job)[0], key=lambda job: -job.metadata["created"])


def damaged_jobs(run: Run) -> list[str]:
    """What is wrong with the interventions that `list_jobs` passes over, a line each."""
    return read_each(_folders(run), read_job)[1]


def _folders(run: Run) -> Iterator[Path]:
    """The folders of a run's interventions, whose names are ids; links and all others are passed over."""
    yield from folders_with_ids(run.path, "interventions")

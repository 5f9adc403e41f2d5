"""Start background work. A job is a process of its own; everything about it is on disk."""

from __future__ import annotations

import subprocess
import sys

from app.loaders import ROOT
from engine.intervention.retrain import Intervention
from engine.intervention.workspace import Job, create_job, predicted
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def start(run: Run, snapshot: Snapshot, plan: Intervention, estimator: str) -> Job:
    """Begin an intervention, or give back the equal one that is there already.

    The worker is in a session of its own: it outlives a page reload and a restart of the server.

    Raises:
        EngineError: the plan can't be carried out, or the run's folder can't be written.
    """
    return _start(*create_job(run, snapshot, plan, predicted(snapshot, plan, estimator)))


def start_again(run: Run, job: Job) -> None:
    """Begin an intervention that failed, was cancelled or lost its worker anew."""
    about = {key: value for key, value in job.about.items() if key != "created"}
    _start(*create_job(run, run.snapshot(job.plan.round), job.plan, about))


def _start(job: Job, to_be_started: bool) -> Job:
    if to_be_started:
        with (job.folder / "log.txt").open("wb") as log:
            subprocess.Popen(
                [sys.executable, "-m", "engine.intervention.worker", str(job.folder.resolve())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    return job

"""Start and find background work. A job is a process of its own; everything about it is on disk."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from app.loaders import ROOT
from engine.intervention.retrain import Intervention
from engine.intervention.workspace import Job, create_job
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def start(run: Run, snapshot: Snapshot, plan: Intervention, about: dict[str, Any]) -> Job:
    """Begin an intervention, or give back the equal one that is there already.

    The worker is in a session of its own: it outlives a page reload and a restart of the server.

    Raises:
        EngineError: the plan can't be carried out, or the run's folder can't be written.
    """
    job = create_job(run, snapshot, plan, about)
    if job.state != "queued" or ((job.folder / "log.txt").exists() and job.done):
        return job
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

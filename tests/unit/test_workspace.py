"""What a person leaves beside a run: jobs, also when two people or two workers are at it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.errors import BadInputError, CancelledError, LockedRunError
from engine.intervention.plan import Intervention
from engine.intervention.worker import work
from engine.intervention.workspace import (
    create_job,
    intervention_id,
    list_jobs,
    predicted,
    read_job,
    request_cancel,
)
from engine.store.read import Run

PLAN = Intervention(round=1, removed=(3, 5, 8), orders=2, episodes=4)


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    """A run that a test may change."""
    shutil.copytree(cartpole.path, tmp_path / "run")
    return engine.open_run(tmp_path / "run")


def made(run: Run, plan: Intervention = PLAN) -> Path:
    """The folder of a job that waits for its worker."""
    job, to_be_started = create_job(run, run.snapshot(plan.round), plan, {})
    assert to_be_started
    assert job.state == "queued"
    return job.folder


def state(folder: Path) -> str:
    job = read_job(folder)
    assert job is not None
    return job.state


def test_equal_interventions_have_one_id_and_one_result(run: Run) -> None:
    again = Intervention(round=1, removed=(8, 3, 5, 3), orders=2, episodes=4)
    other = Intervention(round=1, removed=(3, 5, 8), orders=2, episodes=4, target="action", about=7)
    snapshot = run.snapshot(1)
    assert intervention_id(snapshot, again) == intervention_id(snapshot, PLAN)
    assert intervention_id(snapshot, other) != intervention_id(snapshot, PLAN)
    folder = made(run)
    first = work(folder)
    job, to_be_started = create_job(run, snapshot, again, {})
    assert (job.state, to_be_started) == ("done", False)
    assert work(folder) == first
    assert [job.id for job in list_jobs(run)] == [folder.name]


def test_the_chosen_target_is_measured(run: Run) -> None:
    plan = Intervention(round=1, removed=(3, 5, 8), orders=2, episodes=4, target="action", about=7)
    foretold = predicted(run.snapshot(1), plan)
    snapshot = run.snapshot(1)
    scores = engine.influence(snapshot, engine.action_target(snapshot, record=7))
    assert foretold["summed_influence"] == pytest.approx(float(scores.influence[[3, 5, 8]].sum()))
    outcome = engine.retrain(run, 1, [3, 5, 8], run.path.parent / "b", orders=2, episodes=4, target="action", about=7)
    assert (outcome["target"]["name"], outcome["target"]["about"]) == ("action", 7)
    with pytest.raises(BadInputError, match="out of range"):
        engine.retrain(run, 1, [3], run.path.parent / "c", target="action", about=5000)


def test_cancel_before_the_work_begins(run: Run) -> None:
    folder = made(run)
    job = read_job(folder)
    assert job is not None
    request_cancel(job)
    with pytest.raises(CancelledError):
        work(folder)
    assert state(folder) == "cancelled"
    assert not (folder / "branch").exists()
    assert not list(folder.glob(".*partial"))
    create_job(run, run.snapshot(1), PLAN, {})  # and then it can be started again
    work(folder)
    assert state(folder) == "done"


def test_a_second_worker_is_refused_and_changes_nothing(run: Run) -> None:
    folder = made(run)
    held: list[str] = []

    def meanwhile(doing: str, done: int, total: int) -> None:
        if not held:
            with pytest.raises(LockedRunError, match="another worker"):
                work(folder)
            held.append(state(folder))

    work(folder, meanwhile)
    assert held == ["running"]
    assert state(folder) == "done"


def test_a_killed_worker_reads_stale_and_can_be_started_again(run: Run) -> None:
    long = Intervention(round=1, removed=(3, 5, 8), orders=60, episodes=4000)
    folder = made(run, long)
    worker = subprocess.Popen([sys.executable, "-m", "engine.intervention.worker", str(folder)])
    deadline = time.monotonic() + 30
    while state(folder) != "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert state(folder) == "stale"
    job, to_be_started = create_job(run, run.snapshot(1), long, {})
    assert to_be_started
    request_cancel(job)
    assert not list(folder.glob(".*partial")), "the debris of the killed worker is gone"


def test_a_result_counts_even_if_the_worker_died_before_it_said_so(run: Run) -> None:
    folder = made(run)
    work(folder)
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps({**status, "state": "running"}))
    assert state(folder) == "done"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("status.json", {"state": "dancing"}),
        ("status.json", {"total": "many"}),
        ("intervention.json", {"created": "yesterday"}),
        ("intervention.json", {"plan": {"round": 1, "removed": []}}),
        ("intervention.json", {"plan": {"round": 1, "removed": [1], "colour": "red"}}),
    ],
)
def test_a_job_that_can_not_be_understood_hides_no_other(run: Run, name: str, change: dict[str, Any]) -> None:
    good = made(run)
    bad = made(run, Intervention(round=1, removed=(1,), orders=2, episodes=4))
    (bad / name).write_text(json.dumps({**json.loads((bad / name).read_text()), **change}))
    assert [job.folder for job in list_jobs(run)] == [good]

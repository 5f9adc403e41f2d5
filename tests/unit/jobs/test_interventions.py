"""What a person leaves beside a run: jobs, also when two people or two workers are at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deadlines import wait_until

import engine
from engine.core.targets.question import TargetName
from engine.errors import BadInputError, CancelledError, LockedRunError
from engine.intervention.origin import Chosen, Origin
from engine.intervention.plan import Intervention
from engine.jobs.folder import request_cancel
from engine.jobs.interventions import create_job, damaged_jobs, intervention_id, list_jobs, predicted, read_job
from engine.jobs.work import work
from engine.store import read_json, write_json
from engine.store.read import Run

RECORD = TargetName(target="action", about=7)
SAMPLE = Path(__file__).resolve().parents[3] / "sample_runs" / "FrozenLake-v1"
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


def values(path: Path) -> dict[str, Any]:
    document = read_json(path)
    assert document is not None
    return dict(document.values)


def state(folder: Path) -> str:
    job = read_job(folder)
    assert job is not None
    return job.state


def test_equal_interventions_have_one_id_and_one_result(run: Run) -> None:
    again = Intervention(round=1, removed=(8, 3, 5, 3), orders=2, episodes=4)
    other = Intervention(round=1, removed=(3, 5, 8), orders=2, episodes=4, measured=RECORD)
    snapshot = run.snapshot(1)
    assert intervention_id(snapshot, again) == intervention_id(snapshot, PLAN)
    assert intervention_id(snapshot, other) != intervention_id(snapshot, PLAN)
    folder = made(run)
    first = work(folder)
    job, to_be_started = create_job(run, snapshot, again, {})
    assert (job.state, to_be_started) == ("done", False)
    assert work(folder) == first
    assert [job.id for job in list_jobs(run)] == [folder.name]


def test_a_plan_that_says_nothing_of_repairing_removes() -> None:
    """Written before records could be repaired; its id is what it was."""
    run = engine.open_run(SAMPLE)
    jobs = list_jobs(run)
    assert jobs
    for job in jobs:
        assert not job.plan.repair
        assert "repair" not in job.plan.to_json()
        assert intervention_id(run.snapshot(job.plan.round), job.plan) == job.id
    repaired = Intervention(round=1, removed=(3, 5, 8), repair=True)
    assert Intervention.from_json(repaired.to_json()) == repaired


def test_where_the_records_came_from_is_kept(run: Run) -> None:
    chosen = (Chosen(records=2, origin=Origin(way="group", group="two crashes")), Chosen(records=1))
    job, _ = create_job(run, run.snapshot(1), PLAN, {}, chosen)
    again = read_job(job.folder)
    assert again is not None
    assert again.chosen == chosen
    assert made(run, Intervention(round=1, removed=(4,), orders=2, episodes=4)) != job.folder
    assert [job.chosen for job in list_jobs(run)] == [(), chosen], "a job that says nothing of it is read"


def test_the_chosen_target_is_measured(run: Run) -> None:
    plan = Intervention(round=1, removed=(3, 5, 8), orders=2, episodes=4, measured=RECORD)
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


@pytest.mark.long
def test_a_killed_worker_reads_stale_and_can_be_started_again(run: Run) -> None:
    long = Intervention(round=1, removed=(3, 5, 8), orders=60, episodes=4000)
    folder = made(run, long)
    worker = subprocess.Popen([sys.executable, "-m", "engine.jobs", str(folder)])
    wait_until(lambda: state(folder) == "running")
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
    write_json(folder / "status.json", {**values(folder / "status.json"), "state": "running"})
    assert state(folder) == "done"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"created": "yesterday"}, "created is 'yesterday'; it must be seconds since 1970)"),
        ({"created": 1e300}, "created is 1e+300; it must be seconds since 1970)"),
        (
            {"plan": {"round": 1, "removed": []}},
            "removed is []; it must be a list of at least 1",
        ),
        ({"plan": {"round": 1, "removed": [1], "colour": "red"}}, "unknown field 'colour'; the fields are "),
        ({"plan": {"round": "one", "removed": [1]}}, "round is 'one'; it must be a whole number of at least 0)"),
        ({"plan": {"round": 1, "removed": [1], "orders": 5000}}, "orders is 5000; it must be from 2 to 4,096)"),
        (
            {"plan": {"round": 1, "removed": [1], "mode": "![x](http://host/a.png)"}},
            "mode is ![x](http://host/a.png); ",
        ),
        ({"about": [1]}, "about is [1]; it must be an object)"),
    ],
)
def test_a_plan_that_can_not_be_understood_hides_no_other(run: Run, change: dict[str, Any], reason: str) -> None:
    good = made(run)
    bad = made(run, Intervention(round=1, removed=(1,), orders=2, episodes=4))
    write_json(bad / "intervention.json", {**values(bad / "intervention.json"), **change})
    assert [job.folder for job in list_jobs(run)] == [good]
    (line,) = damaged_jobs(run)
    assert line.startswith(f"interventions/{bad.name}/intervention.json is damaged: it holds no plan ({reason}")


@pytest.mark.parametrize("change", [{"state": "dancing"}, {"total": "many"}, {"time": None}, None])
def test_a_job_whose_state_can_not_be_read_can_be_started_again(run: Run, change: dict[str, Any] | None) -> None:
    folder = made(run)
    if change is None:
        (folder / "status.json").unlink()
    else:
        write_json(folder / "status.json", {**values(folder / "status.json"), **change})
    assert state(folder) == "stale"
    _, to_be_started = create_job(run, run.snapshot(1), PLAN, {})
    assert to_be_started
    work(folder)
    assert state(folder) == "done"


def damage_result(path: Path) -> None:
    path.write_bytes(b"x" + path.read_bytes()[1:])


def forge_result(path: Path) -> None:
    write_json(path, {**values(path), "verdict": "![x](http://host/a.png)"})


@pytest.mark.parametrize("break_result", [Path.unlink, damage_result, forge_result])
@pytest.mark.parametrize("written", ["done", "running"])
def test_a_job_without_a_sound_result_can_be_had_again(
    run: Run, break_result: Callable[[Path], None], written: str
) -> None:
    folder = made(run)
    first = work(folder)
    break_result(folder / "branch" / "result.json")
    write_json(folder / "status.json", {**values(folder / "status.json"), "state": written})
    job = read_job(folder)
    assert job is not None
    assert (job.state, job.result) in (("failed", None), ("stale", None))
    _, to_be_started = create_job(run, run.snapshot(1), PLAN, {})
    assert to_be_started
    again = work(folder)
    assert state(folder) == "done"
    assert again["order_means"] == first["order_means"]
    kept = [path for path in folder.iterdir() if path.name.startswith(".branch.damaged-")]
    assert len(kept) == 1, "what could not be told from debris is kept aside"
    assert len(engine.store.find_runs(run.path)) == 2, "and is no run"


def test_a_damaged_plan_is_kept_aside_when_the_job_is_made_again(run: Run) -> None:
    folder = made(run)
    path = folder / "intervention.json"
    path.write_bytes(path.read_bytes()[:-9])
    damaged = path.read_bytes()
    _, to_be_started = create_job(run, run.snapshot(1), PLAN, {})
    assert to_be_started
    assert [kept.read_bytes() for kept in folder.glob(".intervention.json.damaged-*")] == [damaged]
    assert work(folder)["verdict"]


def test_a_clock_that_was_set_back_makes_no_job_immortal(run: Run) -> None:
    folder = made(run)
    write_json(folder / "status.json", {**values(folder / "status.json"), "time": time.time() + 3600})
    assert state(folder) == "stale"
    assert create_job(run, run.snapshot(1), PLAN, {})[1], "it can be started"
    write_json(folder / "status.json", {**values(folder / "status.json"), "time": time.time() + 3600})
    job = read_job(folder)
    assert job is not None
    request_cancel(job)
    assert state(folder) == "cancelled"


def test_a_queued_job_without_a_worker_is_cancelled_at_once(run: Run) -> None:
    folder = made(run)
    job = read_job(folder)
    assert job is not None
    request_cancel(job)
    assert state(folder) == "cancelled"


def test_only_twelve_hexadecimal_digits_name_an_intervention(run: Run, tmp_path: Path) -> None:
    folder = made(run)
    for name in ("x`![a](http:host)`", "0123456789AB", "0123456789abc", "branch"):
        shutil.copytree(folder, folder.with_name(name))
    shutil.copytree(folder, tmp_path / "elsewhere")
    folder.with_name("0123456789ab").symlink_to(tmp_path / "elsewhere")
    assert [job.id for job in list_jobs(run)] == [folder.name]
    assert damaged_jobs(run) == []
    for name in ("branch", folder.name):
        shutil.copytree(run.path, folder.with_name(name) / "branch", ignore=shutil.ignore_patterns("interventions"))
    assert engine.store.find_runs(run.path) == [run.path, folder / "branch"]


def test_what_killed_writers_left_is_swept(run: Run) -> None:
    folder = made(run)
    left = folder / ".status.json.0123.tmp"
    left.write_text("half")
    create_job(run, run.snapshot(1), PLAN, {})
    assert left.exists(), "somebody may be writing it"
    request_cancel(made_again := read_job(folder))  # type: ignore[arg-type]
    assert made_again is not None
    os.utime(left, (1, 1))
    create_job(run, run.snapshot(1), PLAN, {})
    assert not left.exists()

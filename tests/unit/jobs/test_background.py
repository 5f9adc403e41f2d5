"""Every kind of work in the background, as the app begins it: it runs, says how far it is, and can be stopped or lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deadlines import wait_until
from languages import record_language

from app.removal import start
from engine.analysis.rollout_advantages import kept_estimates
from engine.core.faithfulness.kept_validations import read_validation
from engine.core.influence import read_influence
from engine.core.targets.of_records import return_target
from engine.core.targets.question import TargetName
from engine.intervention.across import Series
from engine.intervention.plan import Intervention
from engine.jobs import folder as job_folder
from engine.jobs.calculations import Calculation
from engine.jobs.folder import Job, is_worked_on, read_status, request_cancel
from engine.jobs.questions import Diagnose, Influence, Validate
from engine.store.read import Run, open_run

pytestmark = pytest.mark.long

RETURN = {"target": "return", "about": None}
SEQUENCE = {"target": "sequence"}


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return open_run(tmp_path / "run")


@pytest.fixture(scope="module")
def recorded_sequences(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record_language(tmp_path_factory.mktemp("jobs"))


@pytest.fixture
def sequences(recorded_sequences: Run, tmp_path: Path) -> Run:
    shutil.copytree(recorded_sequences.path, tmp_path / "sequences", ignore=shutil.ignore_patterns("derived"))
    return open_run(tmp_path / "sequences")


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that are started; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []
    begin = subprocess.Popen

    def watched(command: list[str], **settings: object) -> subprocess.Popen[bytes]:
        started.append(begin(command, **settings))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", watched)
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def interrupts_ignored() -> Iterator[None]:
    """As where a script starts the dashboard in the background: its children ignore Ctrl-C, too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def influence(run: Run, orders: int = 2) -> Path:
    job = Calculation(run, Influence(round=1, target=RETURN, estimator="tracin_adam", orders=orders))
    job.start()
    return job.folder


def validate(run: Run, subsets: int = 4, orders: int = 2) -> Path:
    about = {"target": RETURN, "estimators": ("first_order", "tracin"), "subsets": subsets, "orders": orders}
    job = Calculation(run, Validate(round=1, **about))
    job.start()
    return job.folder


def diagnose(run: Run, rollouts: int = 8, records: int = 4) -> Path:
    job = Calculation(run, Diagnose(round=1, target=RETURN, rollouts=rollouts, records=tuple(range(records))))
    job.start()
    return job.folder


def retrain(run: Run, episodes: int = 4) -> Path:
    plan = Intervention(round=1, removed=(3, 5, 8), orders=2, episodes=episodes)
    return start.start(run, run.snapshot(1), plan, None).folder


def series(run: Run, episodes: int = 4) -> Path:
    return start.start_series(run, Series(rounds=(0, 1), orders=2, episodes=episodes)).folder


def influence_on_tokens(run: Run) -> Path:
    job = Calculation(run, Influence(round=1, target=SEQUENCE, estimator="tracin"))
    job.start()
    return job.folder


def validate_sequences(run: Run) -> Path:
    about = {"target": SEQUENCE, "estimators": ("first_order",), "subsets": 3, "orders": 1}
    job = Calculation(run, Validate(round=1, **about))
    job.start()
    return job.folder


def retrain_sequences(run: Run) -> Path:
    plan = Intervention(round=0, removed=(2, 5), orders=2, episodes=8, measured=TargetName(target="sequence"))
    return start.start(run, run.snapshot(0), plan, None).folder


def waiting(run: Run) -> Calculation:
    """A job that no process was started for."""
    job = Calculation(run, Influence(round=1, target=RETURN))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda command, **_: None)
        job.start()
    return job


def watched(folder: Path) -> list[Job]:
    """What the job says until it has ended."""
    said: list[Job] = []

    def is_over() -> bool:
        said.append(read_status(folder))
        return said[-1].state not in ("queued", "running")

    wait_until(is_over, every=0.01)
    return said


def scores(run: Run) -> object:
    return read_influence(run.snapshot(1), "return", "tracin_adam", orders=2)


def validation(run: Run) -> object:
    return read_validation(run.snapshot(1), return_target(run.snapshot(1)), "tracin")


def sequence_validation(run: Run) -> object:
    snapshot = run.snapshot(1)
    return read_validation(snapshot, "sequence", "first_order")


@pytest.mark.parametrize(
    ("begin", "result"),
    [
        (influence, scores),
        pytest.param(validate, validation, marks=pytest.mark.slow),
        pytest.param(diagnose, lambda run: kept_estimates(run.snapshot(1), 8), marks=pytest.mark.slow),
        (retrain, lambda run: list(run.path.glob("interventions/*/branch/result.json"))),
        pytest.param(
            series, lambda run: list(run.path.glob("interventions/across/*/result.json")), marks=pytest.mark.slow
        ),
    ],
)
def test_work_on_records_runs_and_says_how_far_it_is(
    run: Run, workers: list[object], begin: Callable[[Run], Path], result: Callable[[Run], object]
) -> None:
    assert not result(run)
    folder = begin(run)
    said = watched(folder)
    assert said[-1].state == "done", said[-1].doing
    assert result(run)
    assert begin(run) == folder
    assert any(work.total > 1 for work in said), "it was told what there is to do"


@pytest.mark.parametrize(
    ("begin", "result"),
    [
        (influence_on_tokens, lambda run: read_influence(run.snapshot(1), "sequence", "tracin")),
        pytest.param(validate_sequences, sequence_validation, marks=pytest.mark.slow),
        pytest.param(
            retrain_sequences,
            lambda run: list(run.path.glob("interventions/*/branch/result.json")),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_work_on_sequences_runs_in_the_same_worker(
    sequences: Run, workers: list[object], begin: Callable[[Run], Path], result: Callable[[Run], object]
) -> None:
    assert not result(sequences)
    said = watched(begin(sequences))
    assert said[-1].state == "done", said[-1].doing
    assert result(sequences)


LONG = {
    "influence": lambda run: influence(run, 5000),
    "validate": lambda run: validate(run, 2000, 50),
    "diagnose": lambda run: diagnose(run, 2000, 140),
    "retrain": lambda run: retrain(run, 100_000),
    "series": lambda run: series(run, 100_000),
}


@pytest.mark.parametrize(
    "kind", [kind if kind == "retrain" else pytest.param(kind, marks=pytest.mark.slow) for kind in LONG]
)
def test_a_cancelled_job_ends_soon_where_interrupts_are_ignored(
    run: Run, workers: list[subprocess.Popen[bytes]], interrupts_ignored: None, kind: str
) -> None:
    folder = LONG[kind](run)
    wait_until(lambda: read_status(folder).state == "running" and read_status(folder).total > 1)
    request_cancel(read_status(folder))
    wait_until(lambda: not is_worked_on(folder), within=20)
    assert (read_status(folder).state, read_status(folder).doing) == ("cancelled", "cancelled")
    assert workers[0].wait(20) == 1


def test_a_killed_worker_is_gone_and_the_work_can_be_begun_again(
    run: Run, workers: list[subprocess.Popen[bytes]]
) -> None:
    question = Influence(round=1, target=RETURN, estimator="replay_gradient", orders=5000)
    job = Calculation(run, question)
    job.start()
    wait_until(lambda: job.progress[0] > 0)
    os.kill(workers[0].pid, signal.SIGKILL)
    workers[0].wait()
    assert not job.running
    assert job.progress == (0.0, "")
    assert job.complaint == "its worker is gone"
    job.start()
    wait_until(lambda: job.progress[0] > 0)
    assert len(workers) == 2
    job.stop()
    wait_until(lambda: not job.running)
    assert job.complaint == ""


def test_the_same_question_is_the_same_job(run: Run, workers: list[object]) -> None:
    one = Validate(round=1, target=RETURN, estimators=("first_order",), subsets=2000, orders=50)
    other = Validate(round=1, target=RETURN, estimators=("tracin",), subsets=2000, orders=50)
    first, again = Calculation(run, one), Calculation(open_run(run.path), other)
    assert first.id == again.id, "the replays are the same for all estimators"
    first.start()
    again.start()
    assert again.running
    assert again.asked == one
    assert len(workers) == 1
    elsewhere = {
        Calculation(run, Validate(round=0, target=RETURN, subsets=2000, orders=50)).id,
        Calculation(run, Validate(round=1, target=RETURN, subsets=2000, orders=51)).id,
        Calculation(run, Influence(round=1, target=RETURN)).id,
        Calculation(run, Influence(round=1, target=RETURN, by_layer=True)).id,
        first.id,
    }
    assert len(elsewhere) == 5
    first.stop()


def test_a_worker_has_its_job_from_the_first_moment_on(
    run: Run, workers: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_folder, "START_SECONDS", 0.0)
    job = Calculation(run, Influence(round=1, target=RETURN, estimator="replay_gradient", orders=5000))
    job.start()
    assert job.running, "a slow start of Python is no lost worker"
    job.stop()
    wait_until(lambda: not job.running)
    assert read_status(job.folder).state == "cancelled"


def test_a_job_whose_folder_is_deleted_ends_and_leaves_nothing(
    run: Run, workers: list[subprocess.Popen[bytes]]
) -> None:
    job = Calculation(run, Influence(round=1, target=RETURN, estimator="replay_gradient", orders=5000))
    job.start()
    wait_until(lambda: job.progress[0] > 0)
    shutil.rmtree(run.path / "derived")
    assert not job.running
    workers[0].wait(60)
    assert not (run.path / "derived").exists()


def test_what_the_worker_may_not_load_is_the_jobs_complaint(run: Run) -> None:
    job = waiting(run)
    command = [sys.executable, "-m", "engine.jobs", str(job.folder), "--base", "nowhere"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 1
    assert outcome.stderr == "--base nowhere is no folder; name one that save_pretrained wrote\n"
    assert job.complaint == outcome.stderr.strip()


A_LONG_STEP = """
import sys, time
from engine.jobs import __main__, work

work._calculate = lambda folder, begin, pool: (begin(), time.sleep(100))
__main__.main()
"""


def test_a_step_that_takes_long_is_interrupted_where_interrupts_are_ignored(run: Run, interrupts_ignored: None) -> None:
    job = waiting(run)
    worker = subprocess.Popen([sys.executable, "-c", A_LONG_STEP, str(job.folder)], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: read_status(job.folder).state == "running")
    job.stop()
    assert worker.communicate(timeout=20)[1] == "cancelled\n"
    assert read_status(job.folder).state == "cancelled"

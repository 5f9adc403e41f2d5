"""A worker is told what the person at the keyboard allows, and nothing that a run or a job's folder says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deadlines import wait_until
from own_worlds import saying, write_package

import engine
from engine.errors import BadInputError
from engine.executors import Pool
from engine.intervention.plan import Intervention
from engine.jobs.folder import read_status
from engine.jobs.interventions import create_job, read_job
from engine.jobs.launch import hand_tasks_to, jobs_pool, launch
from engine.store import RunWriter
from engine.store.read import Run

PACKAGE = "own_worlds_of_jobs"
PLAN = Intervention(round=0, removed=(3, 5), orders=2, episodes=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the person stands, with a package of their own."""
    folder = tmp_path_factory.mktemp("own")
    write_package(folder, PACKAGE)
    return folder


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    with saying(imports=[PACKAGE], directory=folder):
        return engine.train(engine.preset("own/Walk-v0", rounds=2, n_steps=40, n_epochs=1), tmp_path / "run")


def made(run: Run) -> Path:
    return create_job(run, run.snapshot(0), PLAN, {})[0].folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of workers, none of which is really started."""
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: commands.append(command))
    return commands


def test_a_worker_is_told_as_arguments_what_is_allowed(run: Run, folder: Path, started: list[list[str]]) -> None:
    with saying(imports=[PACKAGE], make=f"{PACKAGE}:walk", packages=[PACKAGE], directory=folder):
        launch(made(run))
    (command,) = started
    told = command[command.index("--lock") + 2 :]
    assert told == [
        *("--make", f"{PACKAGE}:walk", "--import-from", str(folder), "--import", PACKAGE, "--allow", PACKAGE)
    ]


def test_nothing_is_allowed_where_nobody_said_so(run: Run, started: list[list[str]]) -> None:
    launch(made(run))
    assert started[0][-2] == "--lock"


def test_a_worker_is_told_where_tasks_are_done(run: Run, started: list[list[str]]) -> None:
    before = hand_tasks_to(Pool("inline", 3))
    try:
        launch(made(run))
        with pytest.raises(BadInputError, match="the executor is 'threads'"):
            hand_tasks_to(Pool("threads"))
        assert jobs_pool() == Pool("inline", 3)
    finally:
        hand_tasks_to(before)
    assert started[0][-4:] == ["--executor", "inline", "--workers", "3"]
    assert jobs_pool() == Pool()


@pytest.mark.long
@pytest.mark.parametrize("named", [True, False])
def test_a_job_plays_what_the_person_named_and_nothing_else(run: Run, folder: Path, named: bool) -> None:
    job = made(run)
    with saying(**({"imports": [PACKAGE], "directory": folder} if named else {})):
        launch(job)
    wait_until(lambda: read_status(job).state in ("done", "failed"))
    status = read_status(job)
    assert status.state == "done", status
    done = read_job(job)
    assert done is not None
    assert done.result is not None
    assert ("unplayed" in done.result) is not named
    if not named:
        why = done.result["unplayed"]
        assert why.startswith("can't play this run's environment 'own/Walk-v0': it is not registered here")
    with saying(imports=[PACKAGE], directory=folder):
        again, begin = create_job(run, run.snapshot(0), PLAN, {})
    assert begin is not named, "what could not be played is played once the reader names it"
    assert (again.result is None) is begin


EVIL = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef make():\n    pass\n"


def told(path: Path, **more: Any) -> None:
    """Put more into a file, its checksum left out as in files of earlier versions."""
    values = json.loads(path.read_bytes())
    values.pop("sha256", None)
    path.write_text(json.dumps({**values, **more}))


@pytest.mark.long
def test_a_received_job_imports_nothing_that_it_or_its_run_names(run: Run, tmp_path: Path) -> None:
    """Module and factory lie in the run's folder, which is also where the person stands."""
    assert run.manifest.environment is not None
    evil = replace(run.manifest.environment, factory="evil:make", wrappers=("Evil",))
    with RunWriter.create(tmp_path / "received", replace(run.manifest, environment=evil)) as writer:
        writer.commit_round(run.snapshot(0), {})
    received = engine.open_run(tmp_path / "received")
    job = made(received)
    for place in (received.path, job, tmp_path):
        (place / "evil.py").write_text(EVIL)
    told(job / "intervention.json", make="evil:make", imports=["evil"], options=["--make", "evil:make"])
    worker = [sys.executable, "-m", "engine.jobs", str(job)]
    root = str(Path(engine.__file__).parents[1])
    done = subprocess.run(
        worker, cwd=received.path, capture_output=True, text=True, timeout=120, check=False, env={"PYTHONPATH": root}
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = read_job(job).result
    assert result["unplayed"].startswith("can't play this run's environment 'own/Walk-v0'")
    assert not list(tmp_path.rglob("ran"))

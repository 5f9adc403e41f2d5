"""A received run never writes outside its own folder, nor reads there: links and what is no plain file are refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from app.removal import start
from engine.errors import DamagedRunError, EngineError
from engine.intervention.across import series_of
from engine.intervention.notes import read_note, write_note
from engine.intervention.plan import Intervention
from engine.intervention.record_sets import change_basket, read_sets
from engine.jobs.calculations import Calculation
from engine.jobs.folder import request_cancel
from engine.jobs.interventions import create_job, list_jobs
from engine.jobs.questions import Validate
from engine.jobs.series import create_series, list_series
from engine.jobs.work import work, work_in
from engine.store import Run, export_run, find_runs, load_table, open_run, save_table, verify_run
from engine.store.derived import update_table

QUESTION = Validate(round=1, target={"target": "return"}, estimators=("first_order",), subsets=3, orders=1)
PLAN = Intervention(round=1, removed=(3, 4), orders=2, episodes=2)
SECRET = "what is elsewhere, and nobody's business"


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    """A run with everything that people leave beside one."""
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived", "basket", "*.lock"))
    run = open_run(tmp_path / "run")
    change_basket(run, 1, add=[1, 2])
    save_table(run.path, "ab", pa.table({"reward": [0.5]}))
    job, _ = create_job(run, run.snapshot(1), PLAN, {})
    work(job.folder)
    series, _ = create_series(run, series_of(run, [1]))
    for folder in (job.folder, series.folder):
        write_note(folder, "why?")
        (folder / "log.txt").write_text("done\n")
    return run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands of processes that would have been started."""
    begun: list[list[str]] = []

    class Process:
        pid = 1

        def __init__(self, command: list[str], **_settings: object) -> None:
            begun.append(command)

    monkeypatch.setattr(subprocess, "Popen", Process)
    return begun


def everything(opened: Run, path: Path) -> Iterator[Callable[[], object]]:
    """All that a page or a command does with the run at `path`, each by itself; `opened` before it was spoiled."""

    def fresh() -> Run:
        return open_run(path)

    yield lambda: fresh().snapshot(1)
    yield lambda: fresh().checkpoint(2)
    yield lambda: verify_run(path)
    yield lambda: export_run(path, path.parent / "copy", [1])
    yield lambda: read_sets(fresh(), 1)
    yield lambda: change_basket(fresh(), 1, add=[3])
    yield lambda: load_table(path, "ab")
    yield lambda: save_table(path, "ab", pa.table({"reward": [1.0]}))
    yield lambda: update_table(path, "cd", lambda _: pa.table({"reward": [1.0]}))
    check = Calculation(opened, QUESTION)
    yield check.start
    yield lambda: check.progress
    yield lambda: check.running
    yield lambda: check.complaint
    yield lambda: check.asked
    yield check.stop
    yield lambda: work_in(check.folder)
    yield lambda: list_series(fresh())
    yield lambda: start.start_series(fresh(), series_of(fresh(), [1, 2]))
    with suppress(EngineError):
        for job in (*list_jobs(fresh()), *list_series(fresh())):
            yield lambda folder=job.folder: read_note(folder)
            yield lambda folder=job.folder: write_note(folder, "because")
            yield lambda job=job: request_cancel(job)
    yield lambda: [start.start_again(fresh(), job) for job in list_jobs(fresh())]
    plan = Intervention(round=1, removed=(1, 2), orders=2, episodes=2)
    yield lambda: create_job(fresh(), fresh().snapshot(1), plan, {})
    yield lambda: start.start(fresh(), fresh().snapshot(1), plan, None)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def paths_of(run: Run) -> list[str]:
    """Every file and folder in the run, and those that would be made."""
    there = [path.relative_to(run.path).as_posix() for path in sorted(run.path.rglob("*"))]
    job = Calculation(run, QUESTION).folder.relative_to(run.path).as_posix()
    files = ("job.json", "status.json", "cancel", "worker.lock", "log.txt")
    made = ["derived/lock", "basket/lock", "notes", "derived/jobs", job, *(f"{job}/{name}" for name in files)]
    return [*there, *made]


def is_worth_it(name: str) -> bool:
    """One of each kind; there are dozens of rounds."""
    return "00000" not in name or "000001" in name


def test_no_link_in_a_run_is_followed(run: Run, tmp_path: Path, started: list[list[str]]) -> None:
    for name in filter(is_worth_it, paths_of(run)):
        path, elsewhere, spoiled = run.path / name, tmp_path / "elsewhere", tmp_path / "spoiled"
        if path.is_dir():
            shutil.copytree(path, elsewhere)
        elif path.exists():
            elsewhere.mkdir()
            shutil.copy(path, elsewhere / "file")
        else:
            elsewhere.mkdir()
            (elsewhere / "file").write_text(SECRET)
        target = elsewhere if path.is_dir() or not (elsewhere / "file").exists() else elsewhere / "file"
        before = contents(elsewhere)
        shutil.copytree(run.path, spoiled)
        opened, spot = open_run(spoiled), spoiled / name
        shutil.rmtree(spot) if spot.is_dir() else spot.unlink(missing_ok=True)
        spot.parent.mkdir(parents=True, exist_ok=True)
        spot.symlink_to(target)
        for action in everything(opened, spoiled):
            with suppress(EngineError, FileNotFoundError):
                action()
        assert contents(elsewhere) == before, name
        for folder in (elsewhere, spoiled, tmp_path / "copy"):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("name", ["basket", "derived", "interventions", "data", "commits"])
def test_a_linked_folder_is_said_to_be_one(run: Run, tmp_path: Path, name: str) -> None:
    shutil.copytree(run.path / name, tmp_path / "elsewhere")
    shutil.rmtree(run.path / name)
    (run.path / name).symlink_to(tmp_path / "elsewhere")
    if name != "derived":  # a cache is never worth an error; it is as if there were none
        assert [damage.problem for damage in verify_run(run.path) if "link" in damage.problem]
    assert load_table(run.path, "ab") is None or name != "derived"
    assert list_jobs(run) == [] or name != "interventions"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
@pytest.mark.parametrize("name", ["worker.lock", "log.txt"])
def test_a_pipe_or_folder_in_the_place_of_a_lock_hangs_nothing(
    run: Run, started: list[list[str]], make: Callable[[Path], None], name: str
) -> None:
    check = Calculation(run, QUESTION)
    check.folder.mkdir(parents=True)
    make(check.folder / name)
    assert check.running is False
    assert check.progress == (0.0, "")
    with pytest.raises(EngineError):
        check.start()
    assert started == []
    assert not check.running
    assert name in check.complaint


def test_a_second_name_of_somebodys_file_is_no_log(run: Run, tmp_path: Path, started: list[list[str]]) -> None:
    victim = tmp_path / "victim"
    victim.write_text(SECRET)
    check = Calculation(run, QUESTION)
    check.folder.mkdir(parents=True)
    os.link(victim, check.folder / "log.txt")
    with pytest.raises(DamagedRunError, match="not a regular file"):
        check.start()
    assert not check.running, "a check that could not begin holds no lock"
    assert victim.read_text() == SECRET


def test_runs_behind_links_are_not_found(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(run.path)
    assert find_runs(tmp_path / "runs") == []

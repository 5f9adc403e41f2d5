"""What is left of a calculation on the disk: a cache, which may be gone, damaged or received."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInputError, DamagedRunError
from engine.jobs import folder as folders
from engine.jobs.calculations import Calculation, read_question
from engine.jobs.folder import Job, read_status, request_cancel, write_status
from engine.jobs.questions import Diagnose, Influence, JobQuestion, Validate, from_json, to_json
from engine.jobs.work import work_in
from engine.store.documents import read_json, write_json
from engine.store.read import Run, open_run

RETURN = {"target": "return"}
QUESTION = Validate(round=1, target=RETURN, estimators=("first_order",), subsets=3, orders=1)


@pytest.fixture
def job(cartpole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calculation:
    """A calculation whose worker was not started yet."""
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: None)
    job = Calculation(open_run(tmp_path / "run"), QUESTION)
    job.start()
    return job


def values(path: Path) -> dict[str, Any]:
    document = read_json(path)
    assert document is not None
    assert document.checked
    return dict(document.values)


def test_a_question_is_a_sealed_document_in_the_cache(job: Calculation) -> None:
    assert job.folder.parent == job.run.path / "derived" / "jobs"
    written = values(job.folder / "job.json")
    assert (written["work"], written["question"]["target"], written["question"]["orders"]) == ("validate", RETURN, 1)
    assert job.asked == QUESTION
    assert job.running
    assert job.progress == (0.0, "")


@pytest.mark.parametrize(
    "question",
    [
        QUESTION,
        Influence(
            round=2, target={"target": "action", "observation": (0.1, 1e-30), "action": 1}, orders=4, refresh=True
        ),
        Diagnose(round=0, target=RETURN, rollouts=8, records=(3, 1)),
    ],
)
def test_questions_survive_being_written_down(tmp_path: Path, question: JobQuestion) -> None:
    write_json(tmp_path / "job.json", to_json(question))
    again = from_json(values(tmp_path / "job.json"))
    assert to_json(again)["work"] == question.word
    assert again == read_question(tmp_path)
    assert {key: value for key, value in vars(again).items() if key != "target"} == {
        key: value for key, value in vars(question).items() if key != "target"
    }
    assert again.target.get("observation", []) == list(question.target.get("observation", ()))


@pytest.mark.parametrize(
    "change",
    [{"work": "dance"}, {"work": ["validate"]}, {"question": {}}, {"question": {"round": "one", "target": {}}}],
)
def test_a_question_that_can_not_be_understood_is_said_and_asked_anew(job: Calculation, change: dict[str, Any]) -> None:
    write_json(job.folder / "job.json", {**values(job.folder / "job.json"), **change})
    with pytest.raises(DamagedRunError, match="it asks nothing"):
        work_in(job.folder)
    assert job.asked is None
    write_json(job.folder / "status.json", {**values(job.folder / "status.json"), "state": "failed"})
    job.start()
    assert job.asked == QUESTION
    work_in(job.folder)
    assert read_status(job.folder).state == "done"


@pytest.mark.parametrize("change", [{"state": "dancing"}, {"total": "many"}, {"time": None}, {"time": 4e9}, None])
def test_a_status_that_can_not_be_read_is_no_running_job(job: Calculation, change: dict[str, Any] | None) -> None:
    status = job.folder / "status.json"
    if change is None:
        status.unlink()
    else:
        write_json(status, {**values(status), **change})
    assert not job.running
    assert job.complaint == "its worker is gone"
    job.start()
    assert job.running


def test_a_job_that_nobody_began_is_not_waited_for(job: Calculation) -> None:
    status = job.folder / "status.json"
    write_json(status, {**values(status), "time": time.time() - 60})
    assert not job.running


def test_a_job_whose_cache_was_deleted_was_never_there(job: Calculation) -> None:
    shutil.rmtree(job.run.path / "derived")
    assert (job.running, job.progress, job.complaint, job.asked) == (False, (0.0, ""), "", None)
    job.stop()
    assert not (job.run.path / "derived").exists(), "looking leaves nothing behind"


def test_a_folder_that_is_no_job_is_refused_and_left_alone(job: Calculation) -> None:
    before = sorted(job.run.path.rglob("*"))
    for folder in (job.run.path, job.run.path / "data", job.folder.with_name("0123456789ab")):
        with pytest.raises(BadInputError, match="holds no job"):
            work_in(folder)
    assert sorted(job.run.path.rglob("*")) == before


def test_a_job_can_be_done_again(job: Calculation) -> None:
    work_in(job.folder)
    assert not job.running
    assert job.complaint == ""
    job.start()
    assert job.running, "what was kept answers at once, or it was asked to compute anew"


@pytest.mark.parametrize("look", [read_status, request_cancel])
def test_a_worker_that_ends_between_two_looks_has_ended(
    job: Calculation, monkeypatch: pytest.MonkeyPatch, look: Callable[[Any], object]
) -> None:
    """Its state was read while it worked, its lock when it was gone."""
    write_status(job.folder, "running", "first_order", 1, 2)

    def ends(folder: Path) -> bool:
        write_status(folder, "done", "done", 2, 2)
        return False

    monkeypatch.setattr(folders, "is_worked_on", ends)
    running = Job(id=job.id, folder=job.folder, state="running", doing="first_order", done=1, total=2)
    seen = look(job.folder if look is read_status else running)
    monkeypatch.undo()
    assert read_status(job.folder).state == "done"
    assert seen is None or (isinstance(seen, Job) and seen.state == "done")


def test_a_worker_that_is_gone_leaves_its_job_stale(job: Calculation) -> None:
    write_status(job.folder, "running", "first_order", 1, 2)
    assert read_status(job.folder).state == "stale"
    request_cancel(read_status(job.folder))
    assert read_status(job.folder).state == "cancelled"

"""A run that trained adapters, without and with its base model: what the page Sequences shows, and what jobs are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from languages import record_language
from pages import Open, errors, words
from reading import as_read
from received import received

import engine
from app.removal import start
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.intervention.plan import Intervention
from engine.jobs.calculations import Calculation
from engine.jobs.interventions import list_jobs
from engine.jobs.questions import Diagnose, Validate
from engine.store import open_run

LINE = "this run trained adapters (LoRA) of some/model, which is not in it, so the run is view only; pass --base PATH"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def runs(models: Path, tmp_path: Path) -> Path:
    own = models / "run" if (models / "run").exists() else record_language(models, lora_rank=2).path
    received(own, tmp_path / "runs" / "sent", lambda manifest: manifest["language"].update(policy="some/model"))
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def nothing_allowed() -> Any:
    engine.allow()
    yield
    engine.allow()


def test_texts_and_recorded_numbers_are_shown_and_one_line_says_what_to_pass(open_page: Open, runs: Path) -> None:
    app = open_page("sequences", run="sent", round="1")
    assert errors(app) == []
    assert LINE in words(app)
    table = next(frame.value for frame in app.dataframe if frame.key == "sequences_table")
    buffer = open_run(runs / "sent").snapshot(1).buffer
    assert table["response"].tolist() == buffer.response
    assert "reward" in table
    assert "influence" not in table
    app.button(key="compute").click().run()
    assert errors(app) == []
    assert any(LINE in as_read(toast.value) for toast in app.toast)


def test_with_the_base_model_there_is_influence(
    open_page: Open,
    runs: Path,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = open_page("sequences", run="sent", round="1")
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(runs), "--base", str(models / "policy")])
    app.run()
    assert errors(app) == []
    table = next(frame.value for frame in app.dataframe if frame.key == "sequences_table")
    assert "influence" in table
    assert LINE not in words(app)


def test_a_base_that_is_no_folder_is_one_line(open_page: Open, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page("runs")
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(runs), "--base", "nowhere"])
    app.run()
    assert errors(app) == ["--base nowhere is no folder; name one that save_pretrained wrote"]


def test_workers_get_what_the_person_allows_as_arguments(
    runs: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(runs / "sent")
    snapshot = run.snapshot(1)
    plan = Intervention(round=1, removed=(3, 5), orders=2, episodes=4, measured=TargetName(target="sequence"))
    started: list[list[str]] = []

    class Process:
        pid = 1

        def __init__(self, command: list[str], **options: object) -> None:
            started.append(command)

    monkeypatch.setattr(subprocess, "Popen", Process)
    with pytest.raises(BadInputError, match="pass --base PATH"):
        start.start(run, snapshot, plan, None)
    assert list_jobs(run) == []
    engine.allow(models / "policy", download=True)
    job = start.start(run, snapshot, plan, None)
    Calculation(run, Validate(round=1, target={"target": "sequence"}, estimators=("first_order",))).start()
    base = ["--base", str((models / "policy").resolve()), "--download"]
    assert started[0][1:4] == ["-m", "engine.jobs", str(job.folder.resolve())]
    assert [command[-3:] for command in started] == [base, base]


def test_what_is_started_takes_what_the_person_allows_as_arguments(
    cartpole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **options: started.append(command) or type("P", (), {"pid": 1})
    )
    engine.allow(download=True)
    run = open_run(received(cartpole.path, tmp_path / "run"))
    Calculation(run, Diagnose(round=1, target={"target": "return"}, rollouts=8)).start()
    assert "--download" in started[0]

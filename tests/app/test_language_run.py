"""What the pages about control tasks make of a language model's run."""

from __future__ import annotations

from pathlib import Path

import pytest
from languages import record_language
from pages import Open, errors, words

from benchmarks.faults.made_up_sequences import write_language_run
from engine.core.targets.question import TargetName
from engine.intervention.plan import Intervention
from engine.jobs.interventions import create_job, list_jobs, predicted
from engine.jobs.work import work
from engine.store import open_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    write_language_run(folder / "polite")
    run = record_language(folder, "trained")
    plan = Intervention(
        round=0, removed=(3, 5), orders=2, episodes=4, continue_rounds=1, measured=TargetName(target="sequence")
    )
    snapshot = run.snapshot(0)
    job, _ = create_job(run, snapshot, plan, predicted(snapshot, plan))
    work(job.folder)
    return folder


def test_it_is_listed_with_the_other_runs_and_has_a_timeline(open_page: Open) -> None:
    app = open_page("runs")
    assert errors(app) == []
    [table] = [frame.value for frame in app.dataframe]
    assert table["run"].tolist() == ["polite", "trained"]
    assert (table["environment"][0], table["rounds"][0]) == ("language", 2)
    app = open_page("timeline", run="polite", round="1")
    assert errors(app) == []
    assert app.selectbox(key="run").value == "polite"
    assert "Reward: the round's responses." in words(app)


@pytest.mark.parametrize("page", ["diagnose", "behaviour"])
def test_pages_about_control_tasks_lead_to_its_sequences(open_page: Open, page: str) -> None:
    app = open_page(page, run="polite", round="1")
    assert errors(app) == []
    assert "its records are sequences" in words(app)
    [link] = [link.proto for link in app.get("page_link") if link.proto.page == "sequences"]
    assert "run=polite" in link.query_string


def test_the_timeline_leads_to_the_sequences_of_its_round(open_page: Open) -> None:
    app = open_page("timeline", run="polite", round="1")
    [link] = [link.proto for link in app.get("page_link") if link.proto.page == "sequences"]
    assert link.query_string == "run=polite&round=1"


def test_what_a_removal_did_is_compared_and_the_removed_sequences_are_shown(open_page: Open, runs: Path) -> None:
    run = open_run(runs / "trained")
    [job] = list_jobs(run)
    app = open_page("compare", run="trained", iv=job.id)
    assert errors(app) == []
    assert job.result["verdict"] in words(app)
    buffer = run.snapshot(0).buffer
    table = next(frame.value for frame in app.dataframe if "response" in frame.value)
    assert table["response"].tolist() == [buffer.response[3], buffer.response[5]]
    app = open_page("interventions", run="trained")
    assert errors(app) == []
    assert job.id in words(app)

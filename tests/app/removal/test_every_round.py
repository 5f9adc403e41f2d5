"""The same intervention at every round, on the Interventions page."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from pages import errors, words
from streamlit.testing.v1 import AppTest

import engine
from app.charts.across import changes_in_return
from app.charts.incidents import ACROSS
from app.removal import start, timeline_marks
from engine.executors import INLINE
from engine.intervention.across import series_of
from engine.intervention.series_summary import sentences
from engine.jobs.folder import request_cancel
from engine.jobs.series import create_series, list_series
from engine.jobs.work import work_series
from engine.store.read import Run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(tmp_path: Path, cartpole: Run) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "runs" / "cartpole")
    return engine.open_run(tmp_path / "runs" / "cartpole")


@pytest.fixture
def page(run: Run, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page as a link opens it; workers are not started."""
    monkeypatch.setattr(start, "launch", lambda folder: None)
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(run.path.parent)])
    app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60)
    app.query_params["run"] = "cartpole"
    app.query_params["view"] = "Across training"
    app.switch_page("views/interventions.py")
    return app.run()


def test_from_the_button_to_the_summary(page: AppTest, run: Run) -> None:
    assert errors(page) == []
    assert page.button(key="across_start").label.startswith("Intervene in all 3 rounds (about ")
    assert "negative influence on the return, by each round's advantages" in words(page)
    page.number_input(key="across_orders").set_value(2)
    page.number_input(key="across_episodes").set_value(4)
    page.button(key="across_start").click().run()
    [job] = list_series(run)
    assert (job.series, job.state) == (series_of(run, orders=2, episodes=4), "queued")
    assert page.button(key="across_cancel")

    summary = work_series(run, job.folder, pool=INLINE)["summary"]
    carried_out = [found for found in job.finished if "skipped" not in found]
    marks = timeline_marks.of(run)
    assert [(mark.round, mark.verdict, mark.row) for mark in marks] == [
        (found["round"], found["verdict"], ACROSS) for found in carried_out
    ]
    assert marks[0].says.startswith(
        f"across training, round {marks[0].round} by itself, without the records with negative"
    )
    page.run()
    assert errors(page) == []
    said = words(page)
    for sentence in sentences(summary):
        assert sentence in said
    table = next(frame.value for frame in page.dataframe if "between the two" in frame.value)
    assert table["change"].tolist() == [found["difference"]["mean"] for found in job.finished]
    assert page.query_params["view"] == "Across training"


def test_rounds_and_estimator_can_be_chosen(page: AppTest, run: Run) -> None:
    page.text_input(key="across_of").set_value("2-1").run()
    assert errors(page) == ["the rounds 2-1 runs backwards; write 1-2"]
    assert page.button(key="across_start").disabled
    page.text_input(key="across_of").set_value("7").run()
    assert "round 7 has no records" in errors(page)[0]
    page.text_input(key="across_of").set_value("0, 2").run()
    assert page.button(key="across_start").label.startswith("Intervene in 2 rounds (about ")
    page.selectbox(key="across_estimator").set_value("tracin_adam")
    page.button(key="across_start").click().run()
    assert errors(page) == []
    [job] = list_series(run)
    assert (job.series.rounds, job.series.estimator) == ((0, 2), "tracin_adam")


def test_a_stopped_series_can_go_on(page: AppTest, run: Run) -> None:
    job, _ = create_series(run, series_of(run, orders=2, episodes=4))
    request_cancel(job)
    with pytest.raises(engine.EngineError):
        work_series(run, job.folder, pool=INLINE)
    page.run()
    assert "Stopped after 0 of 3 rounds" in words(page)
    page.button(key="across_again").click().run()
    assert list_series(run)[0].state == "queued"


def test_a_damaged_series_is_a_line_on_its_page(page: AppTest, run: Run) -> None:
    sound, _ = create_series(run, series_of(run, orders=2, episodes=4))
    damaged, _ = create_series(run, series_of(run, orders=3, episodes=6))
    (damaged.folder / "series.json").write_text("[**bold**]")
    page.run()
    (line,) = errors(page)
    assert f"{damaged.id}/series.json is damaged" in line
    assert page.button(key="across_cancel"), f"{sound.id} is there"


def test_marks_carry_their_round_and_verdict(run: Run) -> None:
    job, _ = create_series(run, series_of(run, orders=2, episodes=4))
    result = work_series(run, job.folder, pool=INLINE)
    rounds = [*result["rounds"], {"round": 9, "skipped": "nothing <b>to</b> remove"}]
    figure = changes_in_return(rounds, dark=False)
    marks = [trace for trace in figure.data if trace.type == "scatter" and trace.customdata is not None]
    chosen = [mark for mark in marks if mark.name.startswith("without the bottom")]
    assert sorted(k for mark in chosen for k in mark.customdata) == [0, 1, 2]
    for mark in chosen:
        for k, mean in zip(mark.customdata, mark.y, strict=True):
            assert mean == pytest.approx(result["rounds"][k]["difference"]["mean"])
            assert mark.name.endswith(result["rounds"][k]["verdict"])
    [skipped] = [mark for mark in marks if mark.name == "skipped"]
    assert list(skipped.customdata) == [9]
    assert "<b>" not in skipped.text[0], "a reason is no markup"

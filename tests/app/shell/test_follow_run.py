"""A run that grows between two looks at a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pages import Open, errors, words
from streamlit.testing.v1 import AppTest

import engine
from app.shell import follow_run
from engine.store.snapshot import Snapshot

Training = Iterator[Snapshot]
SETTINGS = {"rounds": 4, "n_steps": 64, "batch_size": 32, "n_epochs": 2}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def training(runs: Path) -> Training:
    """A training under way, the run `growing`; round k is committed when round k + 1 has been collected."""
    return engine.rounds(engine.preset("CartPole-v1", "default", **SETTINGS), runs / "growing")


def commit_rounds(training: Training, count: int) -> None:
    for _ in range(count):
        next(training, None)


def shown(app: AppTest) -> str:
    return words(app) + str([table.value.get("state") for table in app.dataframe])


@pytest.mark.parametrize("page", ["runs", "timeline", "diagnose", "behaviour"])
def test_an_unfinished_run_says_which_round_the_page_is_as_of(
    open_page: Open,
    training: Training,
    page: str,
) -> None:
    commit_rounds(training, 3)
    app = open_page(page, run="growing")
    assert errors(app) == []
    assert "as of round 1" in shown(app).lower()
    asked = [toggle.value for toggle in app.toggle if toggle.key == "refresh"]
    assert asked == ([] if page == "runs" else [False]), "it is for the reader to ask for, but on Runs"
    commit_rounds(training, 1)
    app.run()
    assert errors(app) == []
    assert "as of round 2" in shown(app).lower()
    commit_rounds(training, 1)
    app.run()
    assert errors(app) == []
    assert "as of round" not in shown(app).lower(), "it is finished"
    assert "refresh" not in {toggle.key for toggle in app.toggle}


@pytest.mark.parametrize("page", ["runs", "timeline", "diagnose", "behaviour"])
def test_a_run_without_a_round_yet_is_waited_for(
    open_page: Open,
    training: Training,
    page: str,
) -> None:
    commit_rounds(training, 1)
    app = open_page(page, run="growing", refresh="True")
    assert errors(app) == []
    assert "no round yet" in shown(app).lower()
    commit_rounds(training, 1)
    app.run()
    assert errors(app) == []
    assert "as of round 0" in shown(app).lower()


def test_the_choice_to_be_kept_up_to_date_is_in_the_url(
    open_page: Open,
    training: Training,
) -> None:
    commit_rounds(training, 3)
    app = open_page("timeline", run="growing")
    app.toggle(key="refresh").set_value(True).run()
    assert app.query_params["refresh"] == "True"
    assert open_page("diagnose", run="growing", refresh="True").toggle(key="refresh").value is True


@pytest.mark.parametrize(("keeps_up", "stands_on", "then"), [(True, 1, 2), (True, 0, 0), (False, 1, 1)])
def test_who_keeps_up_and_stands_on_the_last_round_goes_along(
    open_page: Open,
    training: Training,
    keeps_up: bool,
    stands_on: int,
    then: int,
) -> None:
    commit_rounds(training, 3)
    app = open_page("diagnose", run="growing", round=str(stands_on), refresh=str(keeps_up), x="advantage")
    app.number_input(key="inspect").set_value(7).run()
    commit_rounds(training, 1)
    app.run()
    assert errors(app) == []
    assert app.select_slider(key="round").value == then
    assert app.select_slider(key="round").options == ["0", "1", "2"]
    assert app.query_params["round"] == str(then)
    assert app.selectbox(key="x").value == "advantage", "what was chosen stays"
    if then == stands_on:
        assert app.number_input(key="inspect").value == 7


def test_a_run_that_is_damaged_while_it_is_watched_is_one_line(
    open_page: Open,
    runs: Path,
    training: Training,
) -> None:
    commit_rounds(training, 3)
    app = open_page("diagnose", run="growing", refresh="True")
    commit_rounds(training, 1)
    commit = runs / "growing" / "commits" / "000002.json"
    commit.write_bytes(commit.read_bytes().replace(b'"round"', b'"wound"', 1))
    app.run()
    [line] = errors(app)
    assert "000002.json" in line


def test_a_run_that_is_not_here_is_named_and_shown_once_it_is(open_page: Open, runs: Path) -> None:
    engine.train(engine.preset("CartPole-v1", "default", **{**SETTINGS, "rounds": 1}), runs / "a")
    app = open_page("timeline", run="b", round="0")
    assert "The run b is not in" in words(app)
    assert (app.selectbox(key="run").value, app.query_params["run"]) == ("b", "b")
    assert not app.metric, "nothing of another run"
    engine.train(engine.preset("CartPole-v1", "default", **{**SETTINGS, "rounds": 2}), runs / "b")
    app.run()
    assert errors(app) == []
    assert (app.selectbox(key="run").value, app.metric[0].value) == ("b", "2")
    assert dict(app.query_params) == {"run": "b", "round": "0"}


def test_a_page_says_whose_intervention_it_would_compare(open_page: Open, runs: Path) -> None:
    for name in ("a", "b"):
        engine.train(engine.preset("CartPole-v1", "default", **{**SETTINGS, "rounds": 1}), runs / name)
    app = open_page("timeline", run="b")
    app.query_params.clear()
    app.switch_page("views/compare.py").run()
    assert app.query_params["run"] == "b"


def test_news_is_looked_for_when_the_page_is_drawn_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that grows faster than its page is drawn would never be seen."""
    watching: list[Callable[[], None]] = []
    redrawn: list[bool] = []
    monkeypatch.setattr(follow_run.st, "fragment", lambda run_every: lambda watch: watching.append(watch) or watch)
    monkeypatch.setattr(follow_run.st, "rerun", lambda: redrawn.append(True))
    follow_run.redraw_when(lambda: True)
    assert redrawn == []
    watching[0]()
    assert redrawn == [True]

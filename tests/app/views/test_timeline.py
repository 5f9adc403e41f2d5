"""The Timeline: a run of thousands of rounds, what is shown of it, and ways from its marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from pages import Open, errors, figure, numbers, pick, words
from streamlit.testing.v1 import AppTest

import engine
from app.charts.envelope import COLUMNS
from benchmarks.faults.made_up_rounds import make_manifest
from engine.jobs.interventions import list_jobs
from engine.store import Files, RunWriter

ROUNDS = 2_000


class Quick(Files):
    """Forces nothing to the disk."""

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        return None if operation.__name__ == "fsync" else operation(*args, **kwargs)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of which only the metrics are kept; its return is its round's number, but for one fall."""
    folder = tmp_path_factory.mktemp("long")
    with RunWriter.create(folder / "long", make_manifest(), Quick()) as writer:
        for k in range(ROUNDS):
            mean = -5000.0 if k == 1234 else float(k)
            writer.commit_metrics(k, {"episodes": 8, "mean_return": mean, "std_return": 10.0, "approx_kl": 0.01})
    return folder


def line(app: AppTest) -> tuple[list[float], list[float], list[float]]:
    """Rounds, means and lowest values of the curve of returns."""
    traces = [each for each in figure(app, "returns")["data"] if each.get("yaxis") == "y"]
    curve = next(each for each in traces if each.get("name") == "mean_return")
    return numbers(curve["x"]), numbers(curve["y"]), numbers(traces[0]["y"])


def of_columns(app: AppTest, name: str) -> Any:
    """The table with a column of that name."""
    return next(frame.value for frame in app.dataframe if name in frame.value)


def test_a_long_run_is_drawn_in_few_points_that_lose_no_extreme(open_page: Open, long: Path) -> None:
    app = open_page("timeline", long, run="long")
    assert errors(app) == []
    x, y, low = line(app)
    assert len(x) == COLUMNS
    assert y[0] == np.mean(range(5))
    assert min(low) == -5000.0
    assert "Line: mean over the rounds behind each pixel or two" in words(app)
    assert list((long / "long" / "derived").glob("*.parquet")), "its commits are indexed"


def test_the_rounds_that_are_shown_are_in_the_url_and_drawn_in_detail(open_page: Open, long: Path) -> None:
    app = open_page("timeline", long, run="long")
    app.slider(key="rounds_shown").set_value((1200, 1299)).run()
    assert errors(app) == []
    assert app.query_params["span"] == "1200-1299"
    x, y, _ = line(app)
    assert x == [*range(1200, 1300)]
    assert y[34] == -5000.0
    assert line(open_page("timeline", long, run="long", span="1200-1299"))[0] == x
    app.slider(key="rounds_shown").set_value((0, ROUNDS - 1)).run()
    assert "span" not in app.query_params


@pytest.mark.parametrize("said", ["x", "7-3", "5000-6000", "-1-4"])
def test_rounds_that_are_not_there_are_said_in_a_line(open_page: Open, long: Path, said: str) -> None:
    app = open_page("timeline", long, run="long", span=said)
    assert errors(app) == []
    assert (
        f"span '{said}' names no rounds of this run; showing all. Write the first and last, such as 0-1999."
        in words(app)
    )
    assert len(line(app)[0]) == COLUMNS


def test_curves_can_be_smoothed_and_drawn_over_steps(open_page: Open, runs: Path) -> None:
    app = open_page("timeline", run="cartpole", smoothing="0.9", across="environment steps")
    assert errors(app) == []
    records = engine.open_run(runs / "cartpole").config.records_per_round
    drawn = figure(app, "returns")
    curve = next(each for each in drawn["data"] if each.get("name") == "mean_return")
    assert numbers(curve["x"]) == [records, 2 * records, 3 * records]
    assert "as measured" in curve["hovertext"][0]
    assert drawn["layout"]["xaxis"]["title"]["text"] == "environment steps"


def test_a_click_on_a_removal_shows_what_came_of_it(
    open_page: Open, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [job] = list_jobs(engine.open_run(runs / "cartpole"))
    app = open_page("timeline", run="cartpole")
    [row] = [each for each in figure(app, "returns")["data"] if each.get("name") == "removals"]
    assert (row["x"], row["customdata"]) == ([1], [job.id])
    assert "round 1 without 3 records" in row["hovertext"][0]
    went: list[Any] = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: went.append((page, query_params)))
    pick(app, "returns", job.id)
    assert errors(app) == []
    assert went == [("views/compare.py", {"run": "cartpole", "iv": job.id})]
    app.run()
    assert len(went) == 1, "one goes there once"
    pick(app, "returns", "across training 0a1b 2")
    asked = {"run": "cartpole", "view": "Across training", "series": "0a1b", "round": "2"}
    assert went[1:] == [("views/interventions.py", asked)], "one of a series"


def test_the_numbers_of_the_chosen_round_stand_beside_those_of_the_one_before(open_page: Open, runs: Path) -> None:
    app = open_page("timeline", run="cartpole", round="2")
    found = of_columns(app, "metric")
    assert list(found.columns) == ["metric", "round 1", "round 2"]
    rounds = engine.open_run(runs / "cartpole").rounds
    row = found.set_index("metric").loc["mean return"]
    assert row.tolist() == [info.metrics["mean_return"] for info in rounds[1:]]
    pick(app, "returns", 0)
    assert app.query_params["round"] == "0"
    found = of_columns(app, "metric")
    assert list(found.columns) == ["metric", "round 0"]


def test_the_numbers_of_the_curves_are_a_table(open_page: Open) -> None:
    app = open_page("timeline", run="cartpole")
    assert not any("value loss" in frame.value for frame in app.dataframe)
    app.session_state["returns_numbers"] = True
    app.run()
    found = of_columns(app, "value loss")
    assert found["round"].tolist() == [0, 1, 2]
    assert {"mean return", "approximate KL", "value loss"} <= {*found.columns}

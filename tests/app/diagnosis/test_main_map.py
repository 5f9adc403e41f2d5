"""The map as the main picture of a world of cells, and the scatter one click away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pages import FIRST, Open, errors, figure, pick

import engine
from engine.intervention.record_sets import read_sets

LAKE, PENDULUM = "FrozenLake-v1", "Pendulum-v1"


def test_the_lake_is_coloured_by_influence_and_an_arrow_selects(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run=LAKE, round="0")
    assert errors(app) == []
    snapshot = engine.open_run(runs / LAKE).snapshot(0)
    influence = engine.influence(snapshot, "return", FIRST).influence
    where = (snapshot.buffer.observation == 0) & (snapshot.buffer.action == snapshot.buffer.action[0])
    marks = figure(app, "influence_map")["data"][0]
    mean = f"{where.sum()} records, mean influence {influence[where].mean(dtype=np.float64):+.3g}"
    (mark,) = [i for i, text in enumerate(marks["hovertext"]) if mean in text and "row 0, column 0" in text]
    pick(app, "influence_map", mark)
    assert read_sets(engine.open_run(runs / LAKE), 0).selection == np.flatnonzero(where).tolist()
    worst = np.flatnonzero(where)[influence[where].argmin()]
    assert app.number_input(key="inspect").value == worst
    app.segmented_control(key="picture").set_value("scatter").run()
    assert errors(app) == []
    assert app.query_params["picture"] == "scatter"
    assert figure(app, "records_scatter")["data"][0]["selectedpoints"] == np.flatnonzero(where).tolist()


def test_other_worlds_have_the_scatter_alone(open_page: Open) -> None:
    app = open_page("diagnose", run=PENDULUM, round="0")
    assert errors(app) == []
    assert figure(app, "records_scatter")
    assert "picture" not in {control.key for control in app.segmented_control}

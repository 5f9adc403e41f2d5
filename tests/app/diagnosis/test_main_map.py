"""The map as the main picture of a world of cells, and the scatter one click away."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from pages import FIRST, ROOT, Open, errors, figure, pick, words

import engine
from engine.intervention.record_sets import read_sets
from engine.store.commit import RunWriter

LAKE, PENDULUM, ROOM = "FrozenLake-v1", "Pendulum-v1", "MiniGrid-Empty-8x8-v0"


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


def test_a_room_that_is_seen_in_part_has_arrows_where_the_agent_stood_and_looked(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run=ROOM, round="0")
    assert errors(app) == []
    marks = figure(app, "influence_map")["data"][0]
    assert all("looking" in text and "all actions" in text for text in marks["hovertext"])
    assert sum(int(re.search(r"(\d+) records?, mean", text)[1]) for text in marks["hovertext"]) == len(
        engine.open_run(runs / ROOM).snapshot(0).buffer
    )
    assert "An arrow is where the agent stood, and looked" in words(app)


def test_a_room_whose_records_were_made_who_knows_where_has_the_scatter_alone(
    open_page: Open, runs: Path, tmp_path: Path
) -> None:
    run = engine.open_run(runs / ROOM)
    with RunWriter.create(tmp_path / ROOM, run.manifest) as writer:
        snapshot = run.snapshot(0)
        tensors = {key: each for key, each in snapshot.checkpoint.items() if not key.startswith("environment/")}
        writer.commit_round(replace(snapshot, checkpoint=tensors), dict(snapshot.metrics))
    app = open_page("diagnose", tmp_path, run=ROOM, round="0")
    assert errors(app) == []
    assert figure(app, "records_scatter")
    assert "picture" not in {control.key for control in app.segmented_control}


def test_the_cliffs_of_another_trainer_have_a_map(open_page: Open) -> None:
    app = open_page("diagnose", ROOT / "sample_runs", run="CliffWalking-v1", round="3")
    assert errors(app) == []
    drawn = figure(app, "influence_map")
    assert {a["text"] for a in drawn["layout"]["annotations"]} == {"start", "cliff", "goal"}


def test_other_worlds_have_the_scatter_alone(open_page: Open) -> None:
    app = open_page("diagnose", run=PENDULUM, round="0")
    assert errors(app) == []
    assert figure(app, "records_scatter")
    assert "picture" not in {control.key for control in app.segmented_control}

"""Where the bottom records were made: maps whose marks lead to records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from pages import Open, button, errors, figure, numbers, pick, words

import engine
from engine.store.commit import RunWriter

LAKE, ROOM, PENDULUM = "FrozenLake-v1", "MiniGrid-Empty-8x8-v0", "Pendulum-v1"

WHERE = {"round": "0", "bottom_view": "Where they were made"}


def test_the_lake_has_an_arrow_for_every_state_and_action(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run=LAKE, map_records="all", **WHERE)
    assert errors(app) == []
    buffer = engine.open_run(runs / LAKE).snapshot(0).buffer
    pairs = sorted({(int(o), int(a)) for o, a in zip(buffer.observation, buffer.action, strict=True)})
    drawn = figure(app, "cells")
    marks = drawn["data"][0]
    assert len(marks["x"]) == len(pairs)
    assert {a["text"] for a in drawn["layout"]["annotations"]} == {"start", "hole", "goal"}
    symbol = {0: "triangle-left", 1: "triangle-down", 2: "triangle-right", 3: "triangle-up"}
    assert marks["marker"]["symbol"] == [symbol[action] for _, action in pairs]
    first = np.flatnonzero((buffer.observation == pairs[0][0]) & (buffer.action == pairs[0][1]))
    mean = buffer.advantage[first].mean(dtype=np.float64)
    assert f"{len(first)} records, mean advantage {mean:+.3g}" in marks["hovertext"][0]
    assert marks["text"][0] == ("<b>+</b>" if mean > 0 else "<b>−</b>")
    assert button(pick(app, "cells", 0), "add_to_basket") == f"Add {len(first)} selected"


def test_a_room_is_drawn_as_it_looks_with_an_arrow_for_every_heading(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run=ROOM, map_records="all", **WHERE)
    assert errors(app) == []
    drawn = figure(app, "cells")
    assert drawn["layout"]["images"][0]["source"].startswith("data:image/png")
    everything = len(drawn["data"][0]["x"])
    app.selectbox(key="map_action").set_value("forward").run()
    assert 0 < len(figure(app, "cells")["data"][0]["x"]) <= everything
    assert all("action forward" in text for text in figure(app, "cells")["data"][0]["hovertext"])


def test_other_states_lie_on_a_map_of_the_policys_features(open_page: Open, runs: Path) -> None:
    for name in (PENDULUM, LAKE):
        app = open_page("diagnose", run=name, map="the policy's features", **WHERE)
        assert errors(app) == []
        assert app.selectbox(key="map_x").value == "component 1 of the policy"
    app = open_page("diagnose", run=PENDULUM, **WHERE)
    app.selectbox(key="map_x").set_value("angular velocity").run()
    marks = figure(app, "feature_map")["data"][0]
    assert len(numbers(marks["customdata"])) == 240
    assert button(pick(app, "feature_map", 7), "add_to_basket") == "Add 1 selected"


def test_a_round_whose_states_were_not_recorded_says_so_and_shows_the_rest(
    open_page: Open,
    runs: Path,
    tmp_path: Path,
) -> None:
    """Neither rollouts nor places nor pictures, but all that the records say themselves."""
    for name in (ROOM, LAKE):
        run = engine.open_run(runs / name)
        with RunWriter.create(tmp_path / name, run.manifest) as writer:
            snapshot = run.snapshot(0)
            tensors = {key: each for key, each in snapshot.checkpoint.items() if not key.startswith("environment/")}
            writer.commit_round(replace(snapshot, checkpoint=tensors), dict(snapshot.metrics))
    app = open_page("diagnose", tmp_path, run=ROOM, **WHERE)
    assert errors(app) == ["round 0 was recorded without the states of its environments"]
    assert button(app, "retrain"), "the page goes on"
    app = open_page("diagnose", tmp_path, run=LAKE, **WHERE)
    assert errors(app) == [], "an observation of the lake tells where it was made"
    assert figure(app, "cells")["data"][0]["x"]
    app = open_page("diagnose", tmp_path, run=LAKE, round="0", bottom_view="What they were worth")
    assert errors(app) == []
    assert "A-bar can't be estimated: round 0 was recorded without the states of its environments" in words(app)

"""What the Diagnose page says of the bottom records, and that its marks lead to records."""

from __future__ import annotations

import base64
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deadlines import wait_until
from pages import Open, errors, figure, pick, words
from streamlit.testing.v1 import AppTest
from worlds import record

import engine
from app.diagnosis import in_common, rollouts
from engine.analysis.diagnosis import compare
from engine.analysis.features import MISMATCH, features
from engine.analysis.rollout_advantages import kept_estimates
from engine.store.commit import RunWriter
from engine.store.read import Run

SMALL = {"rounds": 1, "n_envs": 2, "n_steps": 120, "n_epochs": 2, "batch_size": 32, "seed": 1}
LAKE, ROOM, PENDULUM = "FrozenLake-v1", "MiniGrid-Empty-8x8-v0", "Pendulum-v1"
WHERE = {"round": "0", "bottom_view": "Where they were made"}
WORTH = {"round": "1", "bottom_view": "What they were worth"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cartpole: Run) -> Path:
    folder = tmp_path_factory.mktemp("bottom")
    shutil.copytree(cartpole.path, folder / "cartpole")
    record(folder / LAKE, LAKE, **SMALL)
    record(folder / ROOM, ROOM, **SMALL)
    record(folder / PENDULUM, PENDULUM, **SMALL)
    return folder


def numbers(values: Any) -> list[float]:
    """A column of a chart, which is sent as bytes where it was an array."""
    if not isinstance(values, dict):
        return list(values)
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()


def button(app: AppTest, key: str) -> str:
    return str(next(button.label for button in app.button if button.key == key))


def test_the_list_is_the_diagnosis_in_words(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", round="1")
    assert errors(app) == []
    found = engine.diagnose(engine.open_run(runs / "cartpole"), round=1, rollouts=0)
    assert "14 bottom records" in words(app)
    bars = figure(app, "in_common")["data"][0]
    shown = [label.replace("<br>", " ") for label in bars["y"]]
    assert shown == [trait.sentence for trait in in_common.shown(found)]
    assert len(shown) >= 5
    assert bars["x"] == [trait.delta for trait in in_common.shown(found)]
    marks = figure(app, "correlations")["data"][0]
    assert set(marks["y"]) == set(found.correlations)


def test_another_share_is_another_bottom(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", round="1", fraction="0.25")
    assert "35 bottom records" in words(app)


def test_a_click_on_a_bar_selects_the_records_that_bear_it_out(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", round="1")
    snapshot = engine.open_run(runs / "cartpole").snapshot(1)
    found = engine.diagnose(snapshot, rollouts=0)
    for mark, trait in enumerate(in_common.shown(found)):
        column = found.columns[trait.name]
        rest = np.setdiff1d(snapshot.buffer.record, found.bottom)
        middle = (np.mean if trait.phrase or trait.middle == "mean" else np.median)(column[rest])
        expected = [i for i in found.bottom if (column[i] - middle) * trait.delta > 0]
        assert found.bearing(trait).tolist() == expected
        if mark == 1:
            assert button(pick(app, "in_common", mark), "add_to_basket") == f"Add {len(expected)} selected"


def test_a_target_that_nothing_lowered_has_no_bottom(cartpole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = cartpole.snapshot(1)
    scores = replace(engine.influence(snapshot, cache=False), influence=np.ones(len(snapshot.buffer), np.float32))
    said: list[str] = []
    monkeypatch.setattr(in_common.st, "info", lambda text, **_: said.append(text))
    in_common.draw(compare(snapshot, scores, features(snapshot)), "", lambda _: None)
    assert said == ["No record of this round lowered the target, so there are no bottom records."]


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


def test_rollouts_are_offered_played_in_the_background_and_kept(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", rollouts="8", **WORTH)
    assert errors(app) == []
    assert button(app, "rollouts_start").startswith("Play rollouts for 140 records (about ")
    app.button(key="rollouts_start").click().run()
    run = engine.open_run(runs / "cartpole")
    snapshot = run.snapshot(1)
    job = rollouts.background(run, snapshot, engine.return_target(snapshot), 8)
    wait_until(lambda: kept_estimates(snapshot, 8) is not None and not job.running, within=240)
    app = open_page("diagnose", run="cartpole", rollouts="8", **WORTH)
    assert errors(app) == []
    assert "rollouts_start" not in {button.key for button in app.button}
    expected = engine.diagnose(snapshot, rollouts=8, executor="inline")
    assert expected.estimated is not None
    wrong = next(trait for trait in expected.traits if trait.name == MISMATCH)
    assert f"**{wrong.bottom:.0%}** of the bottom records have an advantage of the wrong sign" in words(app)
    rest, bottom = figure(app, "advantages")["data"]
    assert sorted(numbers(bottom["customdata"])) == sorted(expected.bottom.tolist())
    assert len(numbers(rest["customdata"])) == 126
    table = next(frame.value for frame in app.dataframe if "±" in frame.value)
    assert table["record"].tolist() == expected.bottom.tolist()
    np.testing.assert_allclose(table["±"], expected.estimated.error[expected.bottom])
    app.session_state["bottom_view"] = "In plain words"
    assert any("A-bar" in name for name in figure(app.run(), "correlations")["data"][0]["y"])


def test_rollouts_can_be_cancelled(open_page: Open, runs: Path) -> None:
    query = {"run": PENDULUM, "rollouts": "128", **WORTH, "round": "0"}
    app = open_page("diagnose", **query)
    app.button(key="rollouts_start").click().run()
    run = engine.open_run(runs / PENDULUM)
    job = rollouts.background(run, run.snapshot(0), engine.return_target(run.snapshot(0)), 128)
    wait_until(lambda: job.progress[0] > 0, within=240)
    app = open_page("diagnose", **query)
    app.button(key="rollouts_cancel").click().run()
    wait_until(lambda: not job.running, within=240)
    assert "rollouts_start" in {button.key for button in open_page("diagnose", **query).button}


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
    app = open_page("diagnose", tmp_path, run=LAKE, **{**WORTH, "round": "0"})
    assert errors(app) == []
    assert "A-bar can't be estimated: round 0 was recorded without the states of its environments" in words(app)


def test_an_action_that_the_policy_never_takes_is_named(open_page: Open, runs: Path, tmp_path: Path) -> None:
    run = engine.open_run(runs / LAKE)
    with RunWriter.create(tmp_path / LAKE, run.manifest) as writer:
        snapshot = run.snapshot(0)
        bias = np.array([200, 200, -200, 200], np.float32)
        tensors = {**snapshot.checkpoint, "parameter/actor.4.bias": bias}
        writer.commit_round(replace(snapshot, checkpoint=tensors), dict(snapshot.metrics))
    query = {"round": "0", "target": "action", "of": "state", "state": "0", "typed_action": "right"}
    app = open_page("diagnose", tmp_path, run=LAKE, **query)
    assert [line for line in errors(app) if "gives action right probability 0" in line]

"""Diagnose: every kind of target from its controls and from the URL, the same as the engine's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pages import FIRST, Open, errors, press, words
from streamlit.testing.v1 import AppTest
from worlds import record

import engine
from app.scores.target_controls import in_address
from engine.core.targets.functions import Target
from engine.core.targets.question import TargetName
from engine.intervention.record_sets import change_basket, select
from engine.store.transfer.export import export_run

GRID, PENDULUM = "MiniGrid-Empty-8x8-v0", "Pendulum-v1"
ASKED = {"run": "cartpole", "round": "2", "target": "action"}


def shows(app: AppTest, runs: Path, target: Target, run: str = "cartpole", round: int = 2) -> bool:
    """Whether the tables have the engine's top and bottom record of this target."""
    assert errors(app) == []
    influence = engine.influence(engine.open_run(runs / run).snapshot(round), target, FIRST, cache=False).influence
    tables = {frame.key: frame.value for frame in app.dataframe}
    top, bottom = (tables[key]["record"].to_numpy()[:1] for key in ("top_records", "bottom_records"))
    return np.array_equal([*top, *bottom], [influence.argmax(), influence.argmin()])


def test_the_return_over_a_later_rounds_buffer(open_page: Open, runs: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    snapshot = run.snapshot(0)
    app = open_page("diagnose", run="cartpole", round="0")
    assert shows(app, runs, engine.return_target(snapshot), round=0)
    app.selectbox(key="of_round").set_value(2).run()
    later = engine.return_target(snapshot, run.snapshot(2).buffer)
    assert shows(app, runs, later, round=0)
    assert "return, by round 2's advantages" in words(app)
    again = open_page("diagnose", run="cartpole", round="0", of_round="2")
    assert shows(again, runs, later, round=0)
    assert again.selectbox(key="of_round").value == 2


def test_a_round_without_records_is_not_offered(open_page: Open, runs: Path, tmp_path: Path) -> None:
    export_run(runs / "cartpole", tmp_path / "thin", {0, 1})
    app = open_page("diagnose", tmp_path, run="thin", round="0", of_round="2")
    assert errors(app) == []
    assert "of_round '2' is not here" in words(app)
    assert app.selectbox(key="of_round").options == ["this round", "round 0", "round 1"]


def test_the_actions_of_several_records(open_page: Open, runs: Path) -> None:
    snapshot = engine.open_run(runs / "cartpole").snapshot(2)
    app = open_page("diagnose", **ASKED, of="records", asked="3, 60-62")
    assert shows(app, runs, engine.action_target(snapshot, record=[3, 60, 61, 62]))
    assert "mean of 4 records (3, 60-62)" in words(app)
    app.selectbox(key="action").set_value("push left").run()
    assert shows(app, runs, engine.action_target(snapshot, record=[3, 60, 61, 62], action=0))
    assert "action push left" in words(app)


def test_the_selected_records_become_the_target(open_page: Open, runs: Path) -> None:
    snapshot = engine.open_run(runs / "cartpole").snapshot(2)
    app = open_page("diagnose", run="cartpole", round="1", target="action", of="records", asked="7")
    press(app, "next_round")
    assert app.text_input(key="asked").value != "7", "those were another round's records"
    bottom = next(frame.value for frame in app.dataframe if frame.key == "bottom_records")
    select(engine.open_run(runs / "cartpole"), 2, bottom["record"][[0, 2]])
    app.run()
    app.button(key="ask_about_selected").click().run()
    chosen = sorted(bottom["record"][[0, 2]].tolist())
    assert app.text_input(key="asked").value == ", ".join(map(str, chosen))
    assert shows(app, runs, engine.action_target(snapshot, record=chosen))


def test_the_basket_as_the_target(open_page: Open, runs: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    change_basket(run, 2, remove=None)
    app = open_page("diagnose", **ASKED)
    assert "the basket" not in app.selectbox(key="of").options, "it is empty"
    change_basket(run, 2, add=[5, 90])
    app = open_page("diagnose", **ASKED, of="basket")
    assert shows(app, runs, engine.action_target(run.snapshot(2), record=[5, 90]))
    app.button(key="clear_basket").click().run()
    assert errors(app) == []
    assert app.selectbox(key="of").value == "record"


def test_a_typed_state_begins_as_the_inspected_one(open_page: Open, runs: Path) -> None:
    snapshot = engine.open_run(runs / "cartpole").snapshot(2)
    app = open_page("diagnose", **ASKED, of="state", inspect="0")
    assert errors(app) == []
    app.text_input(key="state").set_value("0.1, 0, -0.05, 0.2").run()
    app.selectbox(key="typed_action").set_value("push right").run()
    typed = engine.action_target(snapshot, observation=[0.1, 0, -0.05, 0.2], action=1)
    assert shows(app, runs, typed)
    name = TargetName(target="action", observation=(0.1, 0, -0.05, 0.2), action=1)
    again = open_page("diagnose", run="cartpole", round="2", **in_address(name, ["push left", "push right"]))
    assert shows(again, runs, typed)
    assert "state 0.1, 0, -0.05, 0.2, action push right" in words(again)


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({"of": "records", "asked": "three"}, "the records 'three' must be numbers and ranges"),
        ({"of": "records", "asked": "3, 500"}, "record 500 is out of range; this round has records 0 to 139"),
        ({"of": "state", "state": "1, 2"}, "must be 4 finite numbers (cart position"),
        ({"of": "state", "state": "abc"}, "the state 'abc' must be numbers separated by commas"),
    ],
)
def test_what_can_not_be_a_target_is_one_line_and_the_page_stays(
    open_page: Open, runs: Path, query: dict[str, str], line: str
) -> None:
    app = open_page("diagnose", **ASKED, **query)
    [error] = errors(app)
    assert line in error
    assert "Until that can be read, the page is about the return" in error
    influence = engine.influence(engine.open_run(runs / "cartpole").snapshot(2), "return", FIRST, cache=False).influence
    bottom = next(frame.value for frame in app.dataframe if frame.key == "bottom_records")
    assert bottom["record"][0] == influence.argmin()
    assert app.selectbox(key="of").value == query["of"], "and can be put right"


def test_the_inspected_record_becomes_the_target(open_page: Open, runs: Path) -> None:
    snapshot = engine.open_run(runs / "cartpole").snapshot(2)
    app = open_page("diagnose", run="cartpole", round="2", inspect="11")
    app.button(key="ask_about").click().run()
    assert shows(app, runs, engine.action_target(snapshot, record=11))
    assert (app.segmented_control(key="target").value, app.number_input(key="about").value) == ("action", 11)


def test_continuous_actions_and_images(open_page: Open, tmp_path: Path) -> None:
    for name in (PENDULUM, GRID):
        record(tmp_path / name, name, rounds=2, n_envs=2, n_steps=40, n_epochs=2, batch_size=16, seed=1)
    snapshot = engine.open_run(tmp_path / PENDULUM).snapshot(1)
    asked = {"round": "1", "target": "action", "folder": tmp_path}
    app = open_page("diagnose", run=PENDULUM, of="state", state="1, 0, 0.5", typed_action="-0.7", **asked)
    typed = engine.action_target(snapshot, observation=[1, 0, 0.5], action=[-0.7])
    assert shows(app, tmp_path, typed, PENDULUM, 1)
    beyond = open_page("diagnose", run=PENDULUM, of="state", state="1, 0, 0.5", typed_action="1.5", **asked)
    typed = engine.action_target(snapshot, observation=[1, 0, 0.5], action=[1.5])
    assert shows(beyond, tmp_path, typed, PENDULUM, 1)
    assert "action 1.5" in words(beyond)
    images = open_page("diagnose", run=GRID, of="records", asked="3, 9", **asked)
    target = engine.action_target(engine.open_run(tmp_path / GRID).snapshot(1), record=[3, 9])
    assert shows(images, tmp_path, target, GRID, 1)
    assert "a typed state" not in images.selectbox(key="of").options

"""Pages on runs with image observations, continuous actions and normalised observations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pages import Open, errors, words
from worlds import record

import engine
from engine.analysis.behaviour import policy_curve
from engine.kinds.control.fields import observation_pictures

SMALL = {"rounds": 2, "n_envs": 2, "n_steps": 40, "n_epochs": 2, "batch_size": 16, "seed": 1}
GRID, PENDULUM, CHEETAH = "MiniGrid-Empty-8x8-v0", "Pendulum-v1", "HalfCheetah-v5"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    record(folder / GRID, GRID, **SMALL)
    record(folder / PENDULUM, PENDULUM, **SMALL)
    record(folder / CHEETAH, CHEETAH, **SMALL, normalize_observation=True)
    return folder


@pytest.mark.parametrize("name", [GRID, PENDULUM, CHEETAH])
@pytest.mark.parametrize("page", ["timeline", "diagnose", "behaviour"])
def test_page_draws(open_page: Open, page: str, name: str) -> None:
    app = open_page(page, run=name, round="1")
    assert errors(app) == []
    assert app.selectbox(key="run").value == name


def test_an_image_is_shown_and_not_its_numbers(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run=GRID, round="1", inspect="7", show="Observation")
    assert "7 x 7 pixels" in words(app)
    options = app.selectbox(key="x").options
    assert "advantage" in options
    assert not any("component" in option for option in options)
    snapshot = engine.open_run(runs / GRID).snapshot(1)
    picture = observation_pictures(snapshot, 7)[""]
    assert picture.shape == (7, 7, 3)
    everything = np.stack([observation_pictures(snapshot, i)[""] for i in range(len(snapshot.buffer))])
    assert everything.max() == 255
    assert len(np.unique(everything.reshape(-1, 3), axis=0)) > 2


def test_a_gaussian_policy_is_shown_as_mean_and_deviation(open_page: Open) -> None:
    app = open_page("diagnose", run=PENDULUM, round="1")
    app.session_state["show"] = "Policy"
    app.run()
    table = next(frame.value for frame in app.dataframe if "std" in frame.value)
    assert table.index.tolist() == ["torque"]
    assert table.columns.tolist() == ["mean", "std", "mean after", "std after", "taken"]
    assert (table["std"] > 0).all()


def test_behaviour_of_a_continuous_action(open_page: Open, runs: Path) -> None:
    app = open_page("behaviour", run=CHEETAH, record="1:3")
    assert errors(app) == []
    assert "one standard deviation" in words(app)
    table = next(frame.value for frame in app.dataframe if "reward" in frame.value)
    assert "back thigh torque" in table.columns
    assert "similar action" in table.columns
    run = engine.open_run(runs / CHEETAH)
    curve = policy_curve(run, engine.action_target(run.snapshot(1), record=3), cache=False)
    list(curve)
    policy = np.array([row for _, row in curve.in_order])
    assert [number for number, _ in curve.in_order] == [0, 1, 2]
    mean, deviation = policy[:, :6], policy[:, 6:]
    assert mean.shape == deviation.shape == (3, 6)
    assert (np.abs(np.diff(mean, axis=0)) > 0).all()
    assert np.allclose(deviation[0], 1)


def test_a_single_continuous_action_keeps_its_sign(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run=PENDULUM, round="1")
    top = next(frame.value for frame in app.dataframe if frame.key == "top_records")
    action = engine.open_run(runs / PENDULUM).snapshot(1).buffer.action[:, 0]
    assert np.array_equal(top["action"], action[top["record"]])
    assert "action: back foot torque" in open_page("diagnose", run=CHEETAH).selectbox(key="y").options


def test_the_action_target_of_a_continuous_action(open_page: Open) -> None:
    app = open_page("diagnose", run=CHEETAH, round="1", target="action", about="5")
    assert errors(app) == []
    assert "action target, record 5" in words(app)


def test_a_typed_state_says_whether_its_numbers_are_normalised(open_page: Open) -> None:
    asked = {"round": "1", "target": "action", "of": "state"}
    assert open_page("diagnose", run=CHEETAH, **asked).text_input(key="state").label == "State, normalised"
    assert open_page("diagnose", run=PENDULUM, **asked).text_input(key="state").label == "State"

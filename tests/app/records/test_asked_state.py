"""A typed state on Diagnose: drawn, with the policy in it before and after the update, and taken along to Behaviour."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from pages import Open, errors, figure, numbers, words

import engine
from engine.analysis.rendering import CannotDrawError, records_in_state, render, render_state
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.fields import policy_in
from engine.store.read import Run

TYPED = [0.1, 0.0, -0.05, 0.2]
ASKED = {"run": "cartpole", "round": "1", "target": "action", "of": "state", "state": "0.1, 0, -0.05, 0.2"}


def test_a_state_that_no_record_saw_is_drawn_as_the_environment_draws_it(cartpole: Run) -> None:
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    env.reset(seed=3)
    env.unwrapped.state = np.array(TYPED)  # type: ignore[attr-defined]
    assert np.array_equal(render_state(cartpole.snapshot(1), np.array([TYPED])), env.render())


def test_a_state_that_a_record_saw_is_that_records(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    typed = [float(f"{value:.4g}") for value in snapshot.buffer.observation[41]]
    assert records_in_state(snapshot, typed).tolist() == [41]
    assert np.array_equal(render_state(snapshot, typed), render(snapshot, 41))


def test_what_can_not_be_drawn_says_why(lander: Run) -> None:
    with pytest.raises(CannotDrawError, match="no record saw this state, and what LunarLander-v3 shows does not say"):
        render_state(lander.snapshot(1), np.zeros(8))


def test_the_page_shows_the_asked_state_and_behaviour_follows_it(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", **ASKED, typed_action="push right")
    assert errors(app) == []
    run = engine.open_run(runs / "cartpole")
    before, after = (
        policy_in(Blueprint.of(run).policy(run.checkpoint(k)), np.array([TYPED], np.float32)) for k in (1, 2)
    )
    assert f"Round 1, the typed state: push right ({100 * before[1]:.0f} %)" in words(app)
    bars, marks = figure(app, "asked_probabilities")["data"]
    np.testing.assert_allclose(numbers(bars["x"]), before, rtol=1e-6)
    np.testing.assert_allclose(numbers(marks["x"]), after, rtol=1e-6)
    assert "No record of this round was in this state." in words(app)

    app.switch_page("views/behaviour.py").run()
    assert errors(app) == []
    assert app.segmented_control(key="behaviour_of").value == "state"
    assert app.text_input(key="state").value == ASKED["state"]
    assert app.selectbox(key="typed_action").value == "push right"
    assert app.query_params["behaviour_of"] == "state"

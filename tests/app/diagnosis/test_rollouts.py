"""What the bottom records were worth: rollouts in the background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from deadlines import wait_until
from pages import Open, button, errors, figure, numbers, words

import engine
from app.diagnosis import rollouts
from engine.analysis.features import MISMATCH
from engine.analysis.rollout_advantages import kept_estimates

PENDULUM = "Pendulum-v1"

WORTH = {"round": "1", "bottom_view": "What they were worth", "estimator": "first_order"}


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


@pytest.mark.slow
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

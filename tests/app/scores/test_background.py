"""Scores in the background, two estimators compared, predicted beside actual, and rounds that do not allow everything."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from deadlines import wait_until
from pages import errors, press, words
from streamlit.testing.v1 import AppTest

import engine
from app.charts.prediction import predicted_beside_actual
from app.removal.predicted_and_actual import changes
from app.scores import background
from engine.core.faithfulness.lds import spearman
from engine.core.filtering import bottom_fraction
from engine.core.influence import read_influence
from engine.core.kind import kind_of
from engine.core.optimizer_settings import settings_of
from engine.intervention.plan import Intervention, draws
from engine.intervention.record_sets import change_basket
from engine.jobs.interventions import create_job, predicted
from engine.jobs.work import work
from engine.store.commit import RunWriter
from engine.store.read import Run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(tmp_path: Path, cartpole: Run) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "runs" / "cartpole")
    return engine.open_run(tmp_path / "runs" / "cartpole")


def opened(monkeypatch: pytest.MonkeyPatch, run: Run, page: str, **query: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(run.path.parent)])
    app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60)
    for key, value in {"run": run.path.name, **query}.items():
        app.query_params[key] = value
    app.switch_page(f"views/{page}.py")
    return app.run()


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button if button.key}


def altered(run: Run, name: str, **changes: object) -> Run:
    """A copy of the run whose rounds have other contents."""
    fingerprint = changes.pop("fingerprint", None)
    manifest = run.manifest if fingerprint is None else replace(run.manifest, fingerprint=fingerprint)
    out = run.path.parent / name
    with RunWriter.create(out, manifest) as writer:
        for k in run.stored_rounds:
            snapshot = run.snapshot(k)
            small = {"minibatches": snapshot.minibatches[:0]} if "minibatches" in changes else {}
            writer.commit_round(replace(snapshot, fingerprint=manifest.fingerprint, **small), dict(snapshot.metrics))
    return engine.open_run(out)


def test_what_takes_long_is_offered_started_stopped_and_kept(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(background, "AT_ONCE_SECONDS", 0.0)
    query = {"round": "1", "estimator": "tracin_adam", "average_orders": "4"}
    app = opened(monkeypatch, run, "diagnose", **query)
    assert errors(app) == []
    assert "tracin_adam, mean of 4 minibatch orders" in words(app)
    assert "influence_start" in keys(app)
    assert not app.dataframe, "no spinner, and nothing that needs the scores"
    app.button(key="influence_start").click().run()
    snapshot = run.snapshot(1)
    wait_until(lambda: read_influence(snapshot, "return", "tracin_adam", orders=4) is not None)
    job = background.background(run, snapshot, engine.return_target(snapshot), "tracin_adam", 4)
    wait_until(lambda: not job.running)
    app = opened(monkeypatch, run, "diagnose", **query)
    assert errors(app) == []
    assert "mean of 4 minibatch orders" in words(app)
    expected = engine.influence(snapshot, "return", "tracin_adam", orders=4, cache=False).influence
    shown = {frame.key: frame.value for frame in app.dataframe}
    assert shown["top_records"]["influence"][0] == pytest.approx(expected.max())


@pytest.mark.slow
def test_a_split_by_layer_that_takes_long_is_computed_in_the_background(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(background, "takes_no_time", lambda *asked: asked[4:] != (True,))
    app = opened(monkeypatch, run, "diagnose", round="1", estimator="tracin_adam")
    app.session_state["parts_panel"] = True
    app.run()
    assert "tracin_adam by layer, recorded minibatch order" in words(app)
    assert not any("layer" in frame.value for frame in app.dataframe)
    app.button(key="layers_start").click().run()
    snapshot = run.snapshot(1)
    job = background.background(run, snapshot, engine.return_target(snapshot), "tracin_adam", 1, by_layer=True)
    wait_until(lambda: not job.running)
    assert job.complaint == ""
    app.run()
    assert errors(app) == []
    table = next(frame.value for frame in app.dataframe if "layer" in frame.value)
    split = engine.influence(snapshot, "return", "tracin_adam", by_layer=True, cache=False).layers
    assert table["all records"].tolist() == pytest.approx([float(part.sum()) for part in split.values()], abs=1e-7)


def test_a_running_computation_survives_a_reload_and_can_be_cancelled(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(background, "AT_ONCE_SECONDS", 0.0)
    monkeypatch.setattr(background, "ORDERS", (1, 5000))
    query = {"round": "1", "estimator": "replay_gradient", "average_orders": "5000"}
    opened(monkeypatch, run, "diagnose", **query).button(key="influence_start").click().run()
    app = opened(monkeypatch, run, "diagnose", **query)
    assert "influence_cancel" in keys(app)
    snapshot = run.snapshot(1)
    job = background.background(run, snapshot, engine.return_target(snapshot), "replay_gradient", 5000)
    wait_until(lambda: job.progress[0] > 0)
    app.button(key="influence_cancel").click().run()
    wait_until(lambda: not job.running)
    assert read_influence(snapshot, "return", "replay_gradient", orders=5000) is None
    assert "influence_start" in keys(opened(monkeypatch, run, "diagnose", **query))


def test_the_page_begins_with_the_best_estimator_that_takes_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    app = opened(monkeypatch, run, "diagnose", round="1")
    assert app.selectbox(key="estimator").value == "tracin_adam"
    assert "first_order" in app.selectbox(key="estimator").options, "one click away"
    monkeypatch.setattr(background, "FIRST_SECONDS", 0.0)
    press(app, "next_round")
    assert app.selectbox(key="estimator").value == "first_order", "nobody chose the other one"
    app.selectbox(key="estimator").set_value("tracin").run()
    press(app, "previous_round")
    assert app.selectbox(key="estimator").value == "tracin", "somebody chose it"


@pytest.mark.parametrize(("optimizer", "first"), [("RMSprop", "first_order"), ("Adam", "tracin_adam")])
def test_an_optimizer_whose_steps_are_not_known_leaves_the_papers_estimator(
    monkeypatch: pytest.MonkeyPatch, run: Run, optimizer: str, first: str
) -> None:
    optimizers = torch.optim.RMSprop, torch.optim.Adam
    made = next(kind for kind in optimizers if kind.__name__ == optimizer)([torch.zeros(2)])
    snapshot = run.snapshot(1)
    agent = kind_of(snapshot).agent(snapshot)
    agent.optimizer_settings = settings_of(made)
    monkeypatch.setattr(type(kind_of(snapshot)), "agent", lambda *_: agent)
    assert background.first_estimator(snapshot) == first


def test_two_estimators_are_compared(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    snapshot = run.snapshot(1)
    one, other = (engine.influence(snapshot, "return", name).influence for name in ("first_order", "tracin"))
    app = opened(
        monkeypatch, run, "diagnose", round="1", estimator="first_order", other_estimator="tracin", overlap_k="10"
    )
    app.session_state["compare_estimators"] = True
    app.run()
    assert errors(app) == []
    shown = words(app)
    assert f"Rank correlation {float(spearman(one, other)):+.2f}" in shown
    shared = len(np.intersect1d(np.argsort(-one, kind="stable")[:10], np.argsort(-other, kind="stable")[:10]))
    assert f"Top 10: **{shared} of 10**" in shown


def test_compare_shows_predictions_in_the_targets_unit(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    snapshot = run.snapshot(1)
    drop = tuple(bottom_fraction(engine.influence(snapshot).influence, 0.5).tolist())
    plan = Intervention(round=1, removed=drop, orders=2, episodes=4, continue_rounds=1, seeds=2)
    job, _ = create_job(run, snapshot, plan, predicted(snapshot, plan))
    result = work(job.folder)
    app = opened(monkeypatch, run, "compare", iv=job.id)
    assert errors(app) == []
    assert "No estimator in the target's unit was computed" in words(app)
    assert "**first_order** predicts the direction, not the size" in words(app)
    scores = engine.influence(snapshot, "return", "tracin_adam", orders=4)
    app = opened(monkeypatch, run, "compare", iv=job.id)
    assert errors(app) == []
    assert "No estimator in the target's unit" not in words(app)
    figure = next(chart for chart in app.get("plotly_chart") if "tracin_adam" in chart.proto.spec)
    assert "tracin_adam, mean of 4 minibatch orders" in figure.proto.spec
    said = changes(scores, plan, snapshot)
    assert said["counterfactual"] == pytest.approx(-scores.influence[list(drop)].sum(), rel=1e-4)
    random = [draws(snapshot, plan, order)["control"] for order in range(2)]
    assert said["control"] == pytest.approx(-np.mean([scores.influence[draw].sum() for draw in random]), rel=1e-4)
    assert f"1 further rounds, 2 seeds: **{result['recollected']['verdict']}**" in words(app)
    assert f"Replayed, on the data as it was: **{result['verdict']}**" in words(app)


def test_predicted_changes_are_summed_influence_with_the_sign_turned(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    actual = {
        "counterfactual": {"mean": 2.0, "low": 1.0, "high": 3.0},
        "control": {"mean": 0.5, "low": None, "high": None},
        "order_values": {"original": [1.0, 1.0], "counterfactual": [2.0, 4.0], "control": [1.0, 2.0]},
    }
    figure = predicted_beside_actual(actual, {"tracin": {"counterfactual": 1.5}}, False)
    small, large = figure.data[0], figure.data[1]
    assert list(small.x) == [1.0, 3.0]
    assert list(large.x) == [2.0, 1.5]
    assert list(large.error_x.array) == [1.0, 0.0]
    assert list(figure.data[3].x) == [0.5], "nobody predicted the control"
    assert list(figure.layout.yaxis.ticktext) == ["actual", "tracin"]


def test_a_round_without_minibatches_says_what_is_left(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    imported = altered(run, "imported", minibatches=None)
    app = opened(monkeypatch, imported, "diagnose", round="1", estimator="tracin")
    assert errors(app) == []
    assert "recorded without its minibatches: first_order influence can be computed" in words(app)
    assert app.selectbox(key="estimator").options == ["first_order"]
    assert {frame.key for frame in app.dataframe} >= {"top_records", "bottom_records"}
    app.session_state["trust_panel"] = True
    app.run()
    assert errors(app) == []
    assert "This round can't be checked" in words(app)
    change_basket(imported, 1, add=[3])
    app.run()
    app.button(key="retrain").click().run()
    assert "can't be replayed without records" in words(app)
    assert errors(opened(monkeypatch, imported, "compare")) == []


def test_another_machines_round_works_with_a_banner(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    foreign = altered(run, "foreign", fingerprint={**run.manifest.fingerprint, "numpy": "1.0"})
    app = opened(monkeypatch, foreign, "diagnose", round="1", estimator="tracin")
    assert errors(app) == []
    assert "equal bit for bit (recorded on another machine or with other versions)" in words(app)
    found = engine.validate(foreign, round=1, subsets=4, orders=2, executor="inline")
    assert (found.fingerprint_equal, found.null_held) == (False, True)
    plan = Intervention(round=1, removed=(3, 5), orders=2, episodes=2, continue_rounds=1, seeds=2)
    job, _ = create_job(foreign, foreign.snapshot(1), plan, predicted(foreign.snapshot(1), plan))
    work(job.folder)
    app = opened(monkeypatch, foreign, "compare", iv=job.id)
    assert errors(app) == []
    assert "not bit-exact" in words(app)

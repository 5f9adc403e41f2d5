"""What the bottom records have in common, in words and as bars that lead to records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pages import Open, button, errors, figure, pick, words

import engine
from app.diagnosis import in_common
from engine.analysis.diagnosis import compare
from engine.analysis.features import features
from engine.store.commit import RunWriter
from engine.store.read import Run

LAKE = "FrozenLake-v1"


def test_the_list_is_the_diagnosis_in_words(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", round="1", estimator="first_order")
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
    app = open_page("diagnose", run="cartpole", round="1", estimator="first_order")
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

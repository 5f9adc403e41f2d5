"""The Behaviour page: what it follows, the records of a round and of a group, and what can't be read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import Open, errors, explains_its_commit, figure, words
from streamlit.testing.v1 import AppTest

import engine
from app.charts.formation import CHOSEN
from engine.analysis import formation
from engine.core.kind import kind_of
from engine.kinds.control.fields import record_fields
from engine.store.snapshot import Snapshot
from engine.store.transfer.export import export_run

ASKED = {"run": "cartpole", "record": "1:3"}


def policy_at(by: Snapshot, snapshot: Snapshot) -> np.ndarray:
    """(n,) the probability of a round's actions by the policy before another round's update."""
    policy = kind_of(by).policy(by)
    with torch.no_grad():
        batch = kind_of(snapshot).batch(snapshot, policy)
        return policy(batch.inputs, batch.action, False).log_prob.exp().numpy()


def settled(app: AppTest) -> AppTest:
    """The page once nothing is missing any more: no browser asks for the next step here."""
    for _ in range(100):
        if errors(app) or "initial association" in words(app):
            return app
        app.run()
    pytest.fail("the page never became complete")


def records(app: AppTest) -> Any:
    return next(frame.value for frame in app.dataframe if frame.key == "round_contributors")


def test_it_opens_where_something_is_to_be_seen(open_page: Open, runs: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    snapshot, after = run.snapshot(1), run.snapshot(2)
    probability = [policy_at(each, snapshot) for each in (snapshot, after)]
    record = int(np.abs(probability[1] - probability[0]).argmax())
    app = open_page("behaviour", run="cartpole", round="1")
    assert app.text_input(key="record").value == f"1:{record}", "the update changed what is done there most"
    app = open_page("diagnose", run="cartpole", round="1", inspect="7")
    app.switch_page("views/behaviour.py").run()
    assert app.text_input(key="record").value == "1:7", "the inspector showed it"
    said, fields = words(app), record_fields(snapshot)
    action = ("push left", "push right")[int(snapshot.buffer.action[7])]
    assert f"Round 1, episode {fields['episode'][7]}, step {fields['step in episode'][7]}: {action} (" in said
    assert explains_its_commit(app)


def test_the_chosen_round_is_marked_in_every_chart(open_page: Open) -> None:
    app = settled(open_page("behaviour", **ASKED, shown_round="2"))
    for key in ("behaviour_curve", "make_up", "roughness", "contributors"):
        marks = [shape for shape in figure(app, key)["layout"]["shapes"] if shape.get("name") == CHOSEN]
        assert {(mark["x0"], mark["x1"]) for mark in marks} == {(2, 2)}, key
    [frame] = figure(app, "groups_")["layout"]["shapes"]
    assert (frame["x0"], frame["x1"]) == (1.5, 2.5)


def test_phases_and_the_records_of_a_round(open_page: Open, runs: Path) -> None:
    app = settled(open_page("behaviour", **ASKED, shown_round="2"))
    assert errors(app) == []
    assert "not clear: 3 rounds with records; the rule needs 5" in words(app)
    run = engine.open_run(runs / "cartpole")
    target = engine.action_target(run.snapshot(1), record=3)
    scores = engine.influence(run.snapshot(2), target, cache=False).influence
    assert records(app)["record"][0] == scores.argmax()
    assert records(app)["influence"].iloc[-1] == pytest.approx(np.sort(scores)[19])
    assert len(records(app)) == 40


def test_a_typed_state_from_the_url(open_page: Open, runs: Path) -> None:
    typed = {"behaviour_of": "state", "state": "0.1, 0, -0.05, 0.2", "typed_action": "push left"}
    app = settled(open_page("behaviour", run="cartpole", **typed, shown_round="1"))
    assert errors(app) == []
    assert "state 0.1, 0, -0.05, 0.2, action push left" in words(app)
    snapshot = engine.open_run(runs / "cartpole").snapshot(1)
    target = engine.action_target(snapshot, observation=[0.1, 0, -0.05, 0.2], action=0)
    scores = engine.influence(snapshot, target, cache=False).influence
    assert records(app)["record"][0] == scores.argmax()
    assert app.query_params["state"] == "0.1, 0, -0.05, 0.2"


@pytest.mark.parametrize(
    ("state", "line"), [("1, 2", "must be 4 finite numbers (cart position"), ("up", "the state 'up' must be numbers")]
)
def test_a_state_that_can_not_be_read(open_page: Open, state: str, line: str) -> None:
    [error] = errors(open_page("behaviour", run="cartpole", behaviour_of="state", state=state))
    assert line in error


def test_a_group_leads_to_its_records(open_page: Open) -> None:
    group = {"grouping": "same or other action", "shown_group": "other action"}
    app = settled(open_page("behaviour", **ASKED, **group))
    assert errors(app) == []
    assert not records(app)["same action"].any()
    assert "**other action**" in words(app)
    app.selectbox(key="shown_group").set_value("same action").run()
    assert records(app)["same action"].all()
    app.segmented_control(key="grouping").set_value("sign of the advantage").run()
    assert app.selectbox(key="shown_group").value == "all records", "that group is none of this grouping"


def test_a_record_of_the_table_can_be_followed(open_page: Open) -> None:
    app = settled(open_page("behaviour", **ASKED, shown_round="2"))
    chosen = int(records(app)["record"][1])
    app.session_state["round_contributors"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    app.run()
    app.button(key="follow_record").click().run()
    assert app.text_input(key="record").value == f"2:{chosen}"
    assert errors(settled(app)) == []


def test_a_second_visit_computes_nothing(
    open_page: Open,
    tmp_path: Path,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(runs / "cartpole", tmp_path / "cartpole")
    settled(open_page("behaviour", tmp_path, **ASKED))
    shutil.move(tmp_path / "cartpole", tmp_path / "moved")  # what is kept in memory is about another folder now
    monkeypatch.setattr(formation, "form_round", lambda *_: pytest.fail("computed again"))
    app = open_page("behaviour", tmp_path, **{**ASKED, "run": "moved"})
    assert errors(app) == []
    assert "initial association" in words(app)


def test_a_damaged_round_is_said_and_the_rest_works(open_page: Open, tmp_path: Path, runs: Path) -> None:
    shutil.copytree(runs / "cartpole", tmp_path / "hurt", ignore=shutil.ignore_patterns("derived"))
    damaged = next((tmp_path / "hurt" / "data").glob("000002-records-*"))
    damaged.write_bytes(damaged.read_bytes()[:-7])
    app = settled(open_page("behaviour", tmp_path, run="hurt", record="1:3"))
    assert errors(app) == []
    assert "Round 2 is left out" in words(app)
    assert len(records(app)) == 40
    app.select_slider(key="shown_round").set_value(2).run()
    [error] = errors(app)
    assert damaged.name in error
    assert "π(a | s) over rounds" in [head.value for head in app.subheader]


def test_thinned_rounds_and_a_run_of_one_round(open_page: Open, tmp_path: Path, runs: Path) -> None:
    export_run(runs / "cartpole", tmp_path / "thin", {1})
    app = settled(open_page("behaviour", tmp_path, run="thin", record="1:3"))
    assert errors(app) == []
    assert "Only 1 of the run's 3 rounds keep their records (1)" in words(app)
    assert len(records(app)) == 40
    engine.train(engine.preset("CartPole-v1", "default", rounds=1, n_steps=64), tmp_path / "one")
    app = settled(open_page("behaviour", tmp_path, run="one"))
    assert errors(app) == []
    assert "not clear: 1 round with records" in words(app)


def test_rounds_without_any_records(open_page: Open, tmp_path: Path, runs: Path) -> None:
    export_run(runs / "cartpole", tmp_path / "bare", set())
    app = open_page("behaviour", tmp_path, run="bare")
    assert errors(app) == []
    assert "No round of this run has records" in words(app)

"""Every kind of run has the same pages: a language model's round as a control task's, and a kind that the pages don't know."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from languages import record_language
from pages import Open, errors, tick, words
from streamlit.testing.v1 import AppTest

import engine
from app.removal import start
from app.scores import background
from engine import known_kinds
from engine.core.estimators.averaged_over_orders import influence_seconds
from engine.core.estimators.registry import ESTIMATORS
from engine.executors import INLINE
from engine.intervention.plan import Intervention
from engine.intervention.record_sets import change_basket, read_sets, save_group
from engine.intervention.series_summary import sentences
from engine.jobs.interventions import create_job, predicted
from engine.jobs.series import list_series
from engine.jobs.work import work, work_series
from engine.kinds.control.kind import ControlKind
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.snapshot import ControlSnapshot
from engine.kinds.control.tables import ControlColumns
from engine.store.commit import RunWriter
from engine.store.manifest import Parent, RunManifest
from engine.store.read import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a language model's run."""
    folder = tmp_path_factory.mktemp("trained")
    record_language(tmp_path_factory.mktemp("models"), "tiny").path.rename(folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def runs(trained: Path) -> Path:
    """What `open_page` opens where it is told no folder."""
    return trained


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may change; what is asked of it is computed at once, however busy the machine was."""
    monkeypatch.setattr(background, "AT_ONCE_SECONDS", 1e9)
    shutil.copytree(trained / "tiny", tmp_path / "tiny")
    return tmp_path


def frame(app: AppTest, key: str) -> pd.DataFrame:
    """The table of that key."""
    return next(one.value for one in app.dataframe if one.key == key)


def test_sequences_offers_every_estimator_averaged_over_orders(open_page: Open, folder: Path) -> None:
    snapshot = engine.open_run(folder / "tiny").snapshot(1)
    expected = engine.influence(snapshot, "sequence", "replay_gradient", orders=4)
    measured = engine.validate(
        snapshot, "sequence", ["replay_gradient"], subsets=4, orders=2, score_orders=4, executor="inline"
    )
    app = open_page("sequences", folder, run="tiny", round="1", estimator="replay_gradient", average_orders="4")
    assert errors(app) == []
    assert app.selectbox(key="estimator").options == list(ESTIMATORS)
    np.testing.assert_allclose(frame(app, "sequences_table")["influence"], np.sort(expected.influence), rtol=1e-5)
    assert "replay_gradient, sequence target over regenerated validation prompts · mean of 4 minibatch orders" in words(
        app
    )
    lds = measured.estimators["replay_gradient over 4 orders"].lds
    assert f"trust: LDS {lds:.2f}" in words(app), "the badge is about the averaged scores"
    app = open_page("sequences", folder, run="tiny", round="1", estimator="replay_gradient", average_orders="1")
    assert "trust: not measured" in words(app)


def test_influence_on_a_sequence_is_split_by_term_and_layer(open_page: Open, folder: Path) -> None:
    snapshot = engine.open_run(folder / "tiny").snapshot(1)
    expected = engine.influence(snapshot, "sequence", "tracin", by_layer=True)
    engine.influence(snapshot, "sequence", "tracin")
    app = open_page("sequences", folder, run="tiny", round="1", estimator="tracin")
    app.session_state["parts_panel"] = True
    app.run()
    print(
        [d.key for d in app.dataframe], [e.proto for e in app.expander], words(app)[:1500], [i.value for i in app.info]
    )
    assert errors(app) == []
    terms, layers = (next(one.value for one in app.dataframe if what in one.value) for what in ("term", "layer"))
    assert terms["term"].tolist() == ["actor", "critic", "entropy"]
    assert layers["layer"].tolist() == list(expected.layers)
    total = expected.influence.sum(dtype=np.float64)
    assert terms["all records"].sum() == pytest.approx(total, rel=1e-4)
    assert layers["all records"].sum() == pytest.approx(total, rel=1e-4)


def test_two_estimators_are_compared_on_sequences(open_page: Open, folder: Path) -> None:
    app = open_page("sequences", folder, run="tiny", round="1", other_estimator="tracin")
    app.session_state["compare_estimators"] = True
    app.run()
    assert errors(app) == []
    assert any(chart.proto.id and "rank by" in chart.proto.spec for chart in app.get("plotly_chart"))
    assert "Rank correlation" in words(app)


def test_ticked_sequences_are_kept_as_a_named_group(open_page: Open, folder: Path) -> None:
    run = engine.open_run(folder / "tiny")
    app = open_page("sequences", folder, run="tiny", round="1", sort="record", estimator="first_order")
    app = tick(app, "sequences_table", 2, 5)
    scores = engine.influence(run.snapshot(1), "sequence").influence
    assert f"Selection: 2 of 12 records**, summed influence {scores[[2, 5]].sum():+.3g}" in words(app)
    app.text_input(key="group_name").set_value("insults")
    app.button(key="save_group").click().run()
    assert read_sets(run, 1).groups == {"insults": [2, 5]}
    shown = frame(app, "groups_table")
    assert shown["summed influence"].tolist() == [pytest.approx(float(scores[[2, 5]].sum()), rel=1e-4)]
    assert "ask_about_group" not in {button.key for button in app.button}, "no target is about several responses"


def test_a_group_is_listed_where_there_is_no_influence(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_group(engine.open_run(folder / "tiny"), 1, "two", [1, 2])
    shutil.rmtree(folder / "tiny" / "derived", ignore_errors=True)
    monkeypatch.setitem(sys.modules, "transformers", None)
    app = open_page("sequences", folder, run="tiny", round="1")
    assert errors(app) == []
    assert frame(app, "groups_table").to_dict("list") == {"group": ["two"], "records": [2]}


def test_a_language_round_without_minibatches_says_what_is_left(open_page: Open, folder: Path) -> None:
    run = engine.open_run(folder / "tiny")
    with RunWriter.create(folder / "imported", run.manifest, model=run.model_files()) as writer:
        snapshot = run.snapshot(0)
        writer.commit_round(replace(snapshot, minibatches=snapshot.minibatches[:0]), dict(snapshot.metrics))
    app = open_page("sequences", folder, run="imported", round="0", estimator="tracin")
    assert errors(app) == []
    assert "recorded without its minibatches: first_order influence can be computed" in words(app)
    assert app.selectbox(key="estimator").options == ["first_order"]
    assert "trust: can't be measured" in words(app)
    app.session_state["trust_panel"] = True
    app.run()
    assert "This round can't be checked" in words(app)
    change_basket(engine.open_run(folder / "imported"), 0, add=[3])
    app.run()
    app.button(key="retrain").click().run()
    assert "can't be replayed without records" in words(app)


def test_a_language_run_is_intervened_in_at_every_round(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "launch", lambda folder: None)
    run = engine.open_run(folder / "tiny")
    app = open_page("interventions", folder, run="tiny", view="Across training")
    assert errors(app) == []
    assert app.number_input(key="across_episodes").label == "Responses to held-out prompts"
    app.number_input(key="across_orders").set_value(2)
    app.number_input(key="across_episodes").set_value(4)
    app.button(key="across_start").click().run()
    [job] = list_series(run)
    summary = work_series(run, job.folder, pool=INLINE)["summary"]
    app = open_page("interventions", folder, run="tiny", view="Across training", round="0")
    assert errors(app) == []
    for sentence in sentences(summary):
        assert sentence in words(app)
    assert "influence on the sequence target · 2 minibatch orders · 4 responses per arm" in words(app)
    assert "change of the mean reward" in "".join(chart.proto.spec for chart in app.get("plotly_chart"))
    app.session_state["round"] = 0  # as the pages about a round leave it
    app.run()
    assert [link.proto.page for link in app.get("page_link")] == ["sequences"]


def test_what_is_predicted_of_a_removal_of_sequences_is_about_its_own_target(open_page: Open, folder: Path) -> None:
    run = engine.open_run(folder / "tiny")
    snapshot = run.snapshot(0)
    (first, *_) = np.flatnonzero(snapshot.buffer.mask[snapshot.buffer.tokens_of(3)]).tolist()
    target = engine.action_target(snapshot, record=3, tokens=(first, first))
    plan = Intervention(round=0, removed=(5, 7), orders=2, episodes=4, measured=target.called)
    job, _ = create_job(run, snapshot, plan, predicted(snapshot, plan))
    work(job.folder)
    scores = engine.influence(snapshot, target, "replay_gradient", orders=4)
    app = open_page("compare", folder, run="tiny", iv=job.id)
    assert errors(app) == []
    assert f"Change of the action target, record 3, token {first} caused by the removal" in words(app)
    figure = next(
        chart.proto.spec for chart in app.get("plotly_chart") if "replay_gradient, mean of 4" in chart.proto.spec
    )
    assert f"{-float(scores.influence[[5, 7]].astype(np.float64).sum())}"[:8] in figure


def test_how_long_influence_on_a_large_model_takes_is_said_without_loading_it(trained: Path) -> None:
    snapshot = engine.open_run(trained / "tiny").snapshot(1)
    took = snapshot.metrics["update_seconds"]
    without_weights = snapshot.changed(checkpoint={})
    target = engine.action_target(snapshot, record=1)
    assert influence_seconds(without_weights, "tracin", target, orders=4) == pytest.approx(12 * took)
    by_layer = influence_seconds(without_weights, "tracin", target, by_layer=True)
    assert by_layer > influence_seconds(without_weights, "tracin", target) > 0
    assert influence_seconds(without_weights, "first_order", target) < influence_seconds(
        without_weights, "tracin", target
    )


class UnseenSnapshot(ControlSnapshot):
    """A round of it."""

    kind = "unseen"


class UnseenLearner(ControlLearner):
    """A training of it."""

    def manifest(self, parent: Parent | None = None) -> RunManifest:
        """Of this kind."""
        return replace(super().manifest(parent), kind="unseen")


class UnseenColumns(ControlColumns):
    """The same round under another name."""

    def snapshot(
        self, manifest: RunManifest, buffers: Mapping[str, Any], file: str, common: Mapping[str, Any]
    ) -> UnseenSnapshot:
        return UnseenSnapshot(**vars(super().snapshot(manifest, buffers, file, common)))


class Unseen(ControlKind):
    """A kind of run for which the pages have nothing of their own."""

    name = "unseen"

    def after(
        self, snapshot: ControlSnapshot, agent: Any, out: Path, given: Any, *, collects: bool = True
    ) -> UnseenLearner:
        """Whose run says what it is."""
        return UnseenLearner.after(snapshot, agent, collects=collects)


@pytest.fixture
def unseen(cartpole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of it, with a finished intervention."""
    monkeypatch.setattr(known_kinds, "_KINDS", dict(known_kinds._KINDS))
    known_kinds.register("unseen", Unseen(), UnseenColumns(), [("records",)])
    manifest = replace(cartpole.manifest, kind="unseen")
    with RunWriter.create(tmp_path / "other", manifest) as writer:
        for k in cartpole.stored_rounds:
            snapshot = cartpole.snapshot(k)
            writer.commit_round(UnseenSnapshot(**vars(snapshot)), dict(snapshot.metrics))
    return engine.open_run(tmp_path / "other")


def test_a_kind_that_the_pages_do_not_know_has_timeline_and_compare(
    open_page: Open, unseen: Run, tmp_path: Path
) -> None:
    app = open_page("timeline", tmp_path, run="other", round="1")
    assert errors(app) == []
    assert "Return: the round's episodes." in words(app)
    records = next(one.value for one in app.dataframe if "advantage" in one.value)
    assert records["record"].tolist() == list(range(140))
    assert records["advantage"].tolist() == pytest.approx(unseen.snapshot(1).buffer.advantage.tolist())
    for page in ("diagnose", "behaviour"):
        app = open_page(page, tmp_path, run="other", round="1")
        assert errors(app) == []
        assert "no page of their own; the Timeline lists them" in words(app)
        assert [link.proto.page for link in app.get("page_link")] == ["timeline"]
    app = open_page("interventions", tmp_path, run="other")
    assert "python -m engine retrain" in words(app)
    snapshot = unseen.snapshot(1)
    plan = Intervention(round=1, removed=(3, 5), orders=2, episodes=2)
    job, _ = create_job(unseen, snapshot, plan, predicted(snapshot, plan))
    work(job.folder)
    app = open_page("compare", tmp_path, run="other", iv=job.id)
    assert errors(app) == []
    removed = next(one.value for one in app.dataframe if "record" in one.value)
    assert removed["record"].tolist() == [3, 5]


def test_a_kind_that_is_not_installed_still_has_a_timeline(open_page: Open, unseen: Run, tmp_path: Path) -> None:
    known_kinds._KINDS.pop("unseen")
    app = open_page("timeline", tmp_path, run="other", round="1")
    [line] = errors(app)
    assert "of the kind 'unseen', which is not known here" in line
    assert "Return: the round's episodes." in words(app)

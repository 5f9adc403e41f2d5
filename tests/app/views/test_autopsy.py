"""The page Autopsy: the answer, what it rests on, and what is played for it in the background."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from language_runs import write_run
from pages import Open, errors, explains_its_commit, figure, words
from planted import planted_run
from reading import as_read
from streamlit.testing.v1 import AppTest

import engine
from app.autopsy import loaders
from app.shell import selection
from engine.analysis.checks.round_checks import check_round
from engine.core.kind import kind_of
from engine.intervention.autopsy import examine
from engine.intervention.autopsy.examine import arms_of
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, EPISODES, Returns
from engine.intervention.autopsy.played_arms import FIRST, policy_of
from engine.intervention.autopsy.read_sequences import kept_moves
from engine.jobs.calculate import calculate
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Autopsy, JobQuestion, from_json, to_json
from engine.store.commit import RunWriter
from engine.store.read import Run


def autopsy(open_page: Open, run: Run, round: int = 1) -> AppTest:
    app = open_page("autopsy", run.path.parent, run=run.path.name, round=str(round))
    assert errors(app) == []
    return app


def answer(app: AppTest) -> str:
    """The first line."""
    return next(as_read(box.value) for kind in (app.warning, app.success, app.info) for box in kind)


def has(app: AppTest, key: str) -> bool:
    return any(button.key == key for button in app.button)


def test_it_is_played_in_the_background_and_kept(open_page: Open, shown: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[JobQuestion] = []
    monkeypatch.setattr(Calculation, "start", lambda job: started.append(job.question))
    app = autopsy(open_page, shown)
    assert answer(app).startswith("**Not played yet.** The round is what it claims to be.")
    assert "8 of 10 checks" in words(app)
    assert explains_its_commit(app)
    assert "The return of round 2 is played by what update 1 made" in words(app)
    app.button(key="play_autopsy").click().run()
    assert started == [Autopsy(round=1)]
    assert from_json(json.loads(json.dumps(to_json(started[0])))) == started[0]
    calculate(shown, started[0], lambda doing, done, total: None)
    app, found = autopsy(open_page, shown), engine.autopsy(shown, 1)
    assert as_read(found.sentence) in answer(app)
    assert answer(app).startswith("**No real fall.**") == (found.verdict == "not real")
    assert not has(app, "play_autopsy")
    assert f"{EPISODES} episodes of each policy · evaluation seeds 10000000 to 10000063 ·" in words(app)
    assert figure(app, "autopsy_change")["data"][-1]["x"] == [found.real.change.value]
    assert found.next in [code.value for code in app.code]
    first, *_ = found.watch
    assert f"Seed {first.seed}: **{first.before:.4g}** before the update" in words(app)
    assert app.get("video") == []
    app.button(key="watch_1").click().run()
    assert errors(app) == []
    assert [video.proto.alt for video in app.get("video")] == [
        f"{when}: the episode of seed {first.seed}" for when in ("Before the update", "After it")
    ]
    app.button(key="watch_1").click().run()
    assert app.get("video") == []


def test_a_fall_is_held_against_its_arms(open_page: Open, shown: Run) -> None:
    returns = Returns(shown, 1, EPISODES)
    luck = np.random.default_rng(1).normal(size=EPISODES)
    returns.keep(BEFORE, 100 + luck)
    returns.keep(AFTER, 60 + 2 * luck)
    for arm in arms_of(shown.snapshot(1)):
        for which in range(FIRST):
            returned = {"order": 61.0, "data": 62.0, "step": 95.0}.get(arm.cause, 96.0) + which % 2
            returns.keep(policy_of(arm, which), np.full(returns.of_arms, returned))
    returns.leave_out("half the clip range", "no ratio was clipped")
    app = autopsy(open_page, shown)
    assert answer(app).startswith("**Size of the step.** The step was too large")
    drawn = {trace["name"]: trace for trace in figure(app, "autopsy_arms_chart")["data"]}
    assert drawn["luck of the order"]["x"] == [61.5]
    assert "half the clip range: no ratio was clipped." in words(app)
    assert drawn["size of the step"]["x"] == [95.5]
    assert [name for name in drawn if name.startswith(("before", "as recorded"))] == [
        f"before the update: {100 + luck[: returns.of_arms].mean():.4g}",
        f"as recorded: {60 + 2 * luck[: returns.of_arms].mean():.4g}",
    ]
    assert any("--set learning_rate=" in code.value for code in app.code)


def test_a_fall_is_said_before_the_arms_are_played(open_page: Open, shown: Run) -> None:
    returns = Returns(shown, 1, EPISODES)
    luck = np.random.default_rng(1).normal(size=EPISODES)
    returns.keep(BEFORE, 100 + luck)
    returns.keep(AFTER, 60 + 2 * luck)
    app = autopsy(open_page, shown)
    assert answer(app).startswith("**A real fall.** A real fall; what would have prevented it is not known yet.")
    assert figure(app, "autopsy_change")["data"]
    assert has(app, "play_autopsy")


def test_a_fault_is_named_at_once_and_leads_to_its_records(open_page: Open, tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=3, n_steps=256, n_epochs=2, seed=3)
    run = planted_run(tmp_path / "planted", "corrupted", 0.05, config, k=1)
    app = autopsy(open_page, run)
    assert answer(app).startswith("**Records.** Some of the records are not what they claim to be.")
    assert has(app, "play_autopsy")
    app.button(key="to_advantages").click().run()
    assert "Selection:" in words(app)
    (wrong,) = (check.records for check in check_round(run, 1) if check.name == "advantages")
    assert selection.kept(run, 1)[0].selection == list(wrong)


def test_a_round_whose_outcome_is_not_recorded_says_which_ones_are(open_page: Open, shown: Run) -> None:
    with RunWriter.create(shown.path.parent / "unfinished", shown.manifest) as writer:
        for k in shown.stored_rounds:
            writer.commit_round(shown.snapshot(k), shown.rounds[k].metrics)
    app = autopsy(open_page, engine.open_run(shown.path.parent / "unfinished"), round=2)
    assert answer(app) == "The parameters after the update of round 2 were not recorded; ask one of the rounds 0-1."


def test_diagnose_leads_here(open_page: Open, shown: Run) -> None:
    app = open_page("diagnose", shown.path.parent, run="cartpole", round="1")
    link = next(link.proto for link in app.get("page_link") if link.proto.page == "autopsy")
    assert re.fullmatch(r"Autopsy, \d+ (s|min)", link.label)
    assert link.query_string == "run=cartpole&round=1"


def test_sequences_lead_here(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "talk", 12)
    app = open_page("sequences", tmp_path, run="talk", round="1")
    link = next(link.proto for link in app.get("page_link") if link.proto.page == "autopsy")
    assert (link.label, link.query_string) == ("Autopsy of this round", "run=talk&round=1")


def test_sequences_to_read_lead_to_their_page(open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a made-up run, whose model nobody has."""
    run = engine.open_run(write_run(tmp_path / "talk", 12))
    monkeypatch.setattr(loaders, "load_checks", lambda run, round: [])
    monkeypatch.setattr(examine, "missing", lambda returns, arms: [])
    monkeypatch.setattr(examine, "why_silent", lambda run, snapshot: "nobody asks")
    snapshot = run.snapshot(0)
    kept_moves(run, snapshot).keep(AFTER, np.linspace(-1.0, 2.0, 12))
    app = autopsy(open_page, run, round=0)
    assert "Sequence 0: reward" in words(app)
    assert as_read(snapshot.buffer.response[11]) in words(app)
    links = [link.proto for link in app.get("page_link") if link.proto.label == "Read it on Sequences"]
    assert [link.query_string for link in links] == [f"run=talk&round=0&record={record}" for record in (0, 5, 11)]


def test_where_nothing_can_be_played_that_is_said(open_page: Open, shown: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(kind_of(shown.snapshot(1)))
    monkeypatch.setattr(kind, "unplayed", lambda self, snapshot: "its environment is in other processes")
    app = autopsy(open_page, shown)
    why = "What its update did to the return can't be measured here: its environment is in other processes."
    assert answer(app) == f"**Nothing played.** The round is what it claims to be. {why}"
    assert "8 of 10 checks" in words(app)
    assert next(button.label for button in app.button if button.key == "play_autopsy").startswith("Replay it")
    calculate(shown, Autopsy(round=1), lambda doing, done, total: None)
    app = autopsy(open_page, shown)
    assert answer(app).startswith(
        f"**Nothing played.** The round is what it claims to be. {why} On the records of round 2"
    )
    assert not has(app, "play_autopsy")
    rows = next(frame.value for frame in app.dataframe if "update" in frame.value)
    assert rows["update"].tolist() == [
        "as recorded",
        "other minibatch orders, 4 times",
        "a quarter of the learning rate, 4 times",
    ]
    app.button(key="watch_1").click().run()
    assert errors(app) == []
    assert len(app.get("video")) == 1


def test_a_long_update_is_checked_in_the_background(
    open_page: Open, shown: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "AT_ONCE_SECONDS", 0.0)
    shutil.rmtree(shown.path / "derived")
    app = autopsy(open_page, shown)
    assert answer(app).startswith("Replaying this round's update takes a while")
    assert has(app, "play_autopsy")
    calculate(shown, Autopsy(round=1, episodes=2), lambda doing, done, total: None)
    assert answer(autopsy(open_page, shown)).startswith("**Not played yet.**"), "with other episodes than the page's"

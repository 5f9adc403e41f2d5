"""Incidents on Timeline and Runs: the engine's, each with its reason and its update, and what is none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_metrics import write
from pages import Open, errors, figure, numbers, words
from planted import planted_run
from streamlit.testing.v1 import AppTest

import engine
from app.runs import incidents
from engine.store.commit import RunWriter
from engine.store.read import Run

FALLEN = {"mean_return": 20.0}
NOISY = {"mean_return": 160.0, "std_return": 90.0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose return falls at round 6, one with a fall within noise at the same place, a short one, one that stops."""
    folder = tmp_path_factory.mktemp("made-up")
    write(folder / "falls", [{}] * 4 + [{"approx_kl": 0.3}, {}] + [FALLEN] * 3)
    write(folder / "noise", [{"std_return": 90.0}] * 6 + [NOISY] * 3)
    write(folder / "short", [{}])
    write(folder / "stops", [{}, {}, {"approx_kl": None}], broken=[2])
    write(folder / "turns", [{}] * 20, reward=lambda k: 1.0 if k < 17 else -1.0)
    return folder


def strip(app: AppTest) -> dict[str, tuple[list[float], list[float]]]:
    """Row -> the rounds that are marked in it, and the updates that the marks stand for."""
    traces = [trace for trace in figure(app, "returns")["data"] if trace.get("yaxis") == "y2"]
    return {trace["name"]: (numbers(trace["x"]), list(trace["customdata"])) for trace in traces}


def links(app: AppTest) -> list[tuple[str, str]]:
    """Label and query of every link to another page."""
    return [(link.proto.label, link.proto.query_string) for link in app.get("page_link")]


def test_a_fall_is_marked_and_leads_to_the_update_before_it(open_page: Open, runs: Path) -> None:
    (fall,) = engine.incidents(runs / "falls")
    app = open_page("timeline", run="falls", round="2")
    assert errors(app) == []
    assert strip(app) == {"drop": ([fall.onset], [fall.onset - 1])}
    said = words(app)
    assert "1 incident in 9 rounds" in said
    assert fall.reason[1:] in said
    assert "The policy that played round 6 came from update 5, so that is the update to look at." in said
    assert "Unusual before it, though not necessarily the cause: KL 0.3 in update 4, above 0.1." in said
    assert ("Diagnose round 5", "run=falls&round=5") in links(app)
    assert ("Autopsy of update 5", "run=falls&round=5") in links(app)
    assert ("Autopsy of update 4", "run=falls&round=4") in links(app), "where the KL is of"


def test_a_fall_within_noise_is_no_incident_and_is_told_on_request(open_page: Open, runs: Path) -> None:
    found = engine.incidents(runs / "noise")
    assert len(found) == 0
    app = open_page("timeline", run="noise")
    assert "No incident in 9 rounds" in words(app)
    assert "standard errors" not in words(app)
    assert strip(app) == {}
    app.toggle(key="within_noise").set_value(True).run()
    assert found.largest_in_words[1:] in words(app)
    assert "200 to 160 at round 6" in words(app)
    assert strip(app) == {"within noise": ([6], [None])}
    assert app.query_params["within_noise"] == "True"


def test_what_is_of_an_update_itself_leads_to_that_update(open_page: Open) -> None:
    app = open_page("timeline", run="stops")
    assert strip(app) == {"not finite": ([2], [2])}
    assert "The first value that is not finite comes from update 2 itself." in words(app)
    assert "reward is not finite in 2 of 32 records (4, 7)" in words(app)


def test_too_few_episodes_are_said(open_page: Open) -> None:
    assert "Too few episodes to tell: 8 episodes ended in 1 round" in words(open_page("timeline", run="short"))


def test_records_are_looked_at_on_request_where_they_are_many(
    open_page: Open, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incidents, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(incidents, "SLICE_SECONDS", 600.0)
    shutil.rmtree(runs / "turns" / "derived", ignore_errors=True)
    app = open_page("timeline", run="turns")
    assert "No incident in 20 rounds" in words(app)
    assert "The records have not been looked at." in words(app)
    app.toggle(key="look_at_records").set_value(True).run()
    assert errors(app) == []
    assert strip(app) == {"unlike before": ([17], [17])}
    assert "The records of 20 rounds were looked at." in words(app)
    assert "Update 17 learns from these records." in words(app)


def test_a_failed_check_leads_to_the_autopsy_of_its_own_update(open_page: Open, cartpole: Run, tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "doubled", cartpole.manifest) as writer:
        for k in cartpole.stored_rounds:
            snapshot = cartpole.snapshot(k)
            advantage = snapshot.buffer.advantage + np.float32(k == 1) * np.arange(
                len(snapshot.buffer), dtype=np.float32
            )
            changed = snapshot.changed(buffer=replace(snapshot.buffer, advantage=advantage))
            writer.commit_round(changed, {"mean_return": 1.0})
    app = open_page("timeline", tmp_path, run="doubled")
    assert errors(app) == []
    assert strip(app) == {"failed check": ([1], [1])}
    assert "Round 1, failed check." in words(app)
    assert "Update 1 learns from these records." in words(app)
    assert ("Autopsy of update 1", "run=doubled&round=1") in links(app)


def test_updates_are_replayed_on_request(open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "SLICE_SECONDS", 600.0)
    small = {"rounds": 4, "n_envs": 2, "n_steps": 64, "n_epochs": 1, "batch_size": 64, "seed": 3}
    planted_run(tmp_path / "run", "critic", 1.0, engine.preset("CartPole-v1", "default", **small), k=2)
    app = open_page("timeline", tmp_path, run="run")
    assert strip(app) == {}
    app.toggle(key="replay_updates").set_value(True).run()
    assert errors(app) == []
    assert strip(app) == {"failed check": ([1], [1])}, "before round 2 was played"
    said = words(app)
    assert "only parameters of the critic are elsewhere" in said
    assert "The records of 4 rounds were looked at, and their updates replayed where they can be." in said


def test_an_incident_comes_with_the_round_that_shows_it(open_page: Open, runs: Path, tmp_path: Path) -> None:
    growing = shutil.copytree(runs / "falls", tmp_path / "growing")
    commits = sorted((growing / "commits").iterdir())
    later = {commit: commit.read_bytes() for commit in commits[6:]}
    for commit in later:
        commit.unlink()
    app = open_page("timeline", tmp_path, run="growing")
    assert "No incident in 6 rounds" in words(app)
    for commit, content in later.items():
        commit.write_bytes(content)
    app.run()
    assert "1 incident in 9 rounds" in words(app)
    assert strip(app)["drop"] == ([6], [5])


def test_runs_lists_how_many_there_are_and_the_first(open_page: Open) -> None:
    table = open_page("runs").dataframe[0].value.set_index("run")
    assert table["incidents"].dtype.kind == "f", "numbers, so that a click on the head sorts them as such"
    assert table["incidents"].fillna(-1).to_dict() == {"falls": 1, "noise": 0, "short": -1, "stops": 1, "turns": 0}
    first = table["first incident"].to_dict()
    assert first["falls"] == "drop at round 6: 200 to 20"
    assert first["stops"] == "not finite at round 2: approx kl"
    assert (first["noise"], first["short"]) == ("", "too few episodes to tell")

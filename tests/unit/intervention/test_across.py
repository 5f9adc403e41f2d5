"""The same intervention at every round: what it says, what it keeps, and what happens when it is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command, Listing, refused
from deadlines import wait_until

import engine
from engine.core.filtering import bottom_fraction
from engine.core.scores import Scores
from engine.errors import BadInputError, CancelledError, EngineError
from engine.intervention import across
from engine.intervention.across import Series, series_of
from engine.intervention.series_summary import changes, p_value, sentences, summarize
from engine.jobs.folder import request_cancel
from engine.jobs.interventions import list_jobs
from engine.jobs.series import create_series, damaged_series, list_series, read_series, series_folder
from engine.jobs.work import work_series
from engine.store import read_json, write_json
from engine.store.commit import RunWriter
from engine.store.read import Run

pytestmark = pytest.mark.long

SMALL: dict[str, Any] = {"orders": 2, "episodes": 4}


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    """Three rounds of 140 records that a test may change."""
    shutil.copytree(cartpole.path, tmp_path / "run")
    return engine.open_run(tmp_path / "run")


def begun(run: Run, **settings: Any) -> Path:
    job, to_be_started = create_series(run, series_of(run, **{**SMALL, **settings}))
    assert to_be_started
    assert job.state == "queued"
    return job.folder


def done(run: Run, folder: Path) -> dict[str, Any]:
    return work_series(run, folder, executor="inline")


def state(folder: Path) -> str:
    job = read_series(folder)
    assert job is not None
    return job.state


def copied(run: Run, name: str, rounds: int, minibatches: bool = True) -> Run:
    """A copy of the first rounds; of the last of them without its minibatches."""
    out = run.path.parent / name
    with RunWriter.create(out, run.manifest) as writer:
        for k in range(rounds):
            snapshot = run.snapshot(k)
            small = {} if minibatches or k < rounds - 1 else {"minibatches": snapshot.minibatches[:0]}
            writer.commit_round(replace(snapshot, **small), dict(snapshot.metrics))
    return engine.open_run(out)


def test_every_round_is_what_retraining_it_alone_says(run: Run, tmp_path: Path) -> None:
    result = done(run, begun(run, drop_bottom=0.5))
    assert [found["round"] for found in result["rounds"]] == [0, 1, 2]
    for found in result["rounds"]:
        drop = bottom_fraction(engine.influence(run.snapshot(found["round"])).influence, 0.5)
        alone = engine.retrain(run, found["round"], drop, tmp_path / f"alone-{found['round']}", **SMALL)
        assert found["removed_count"] == len(drop)
        for key in (
            "original",
            "counterfactual",
            "control",
            "difference",
            "verdict",
            "order_means",
            "evaluation_seeds",
        ):
            assert found[key] == alone[key], key


def test_files_hold_what_was_returned(run: Run) -> None:
    folder = begun(run)
    result = done(run, folder)
    assert read_json(folder / "result.json").values == json.loads(json.dumps(result, allow_nan=False))
    table = pq.read_table(folder / "orders.parquet").to_pydict()
    assert table["round"] == [0, 0, 1, 1, 2, 2]
    assert table["order"] == [0, 1] * 3
    assert table["control"] == [mean for found in result["rounds"] for mean in found["order_means"]["control"]]
    assert list_jobs(run) == [], "a series is no single intervention"
    assert [(job.id, job.state) for job in list_series(run)] == [(folder.name, "done")]


def test_equal_settings_have_one_id_and_share_their_rounds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = begun(run, rounds=[2, 0])
    done(run, folder)
    assert series_folder(run, series_of(run, [0, 2, 2], **SMALL)) == folder
    assert series_folder(run, series_of(run, **SMALL)) == folder, "the rounds make no other folder"
    assert series_folder(run, series_of(run, drop_bottom=0.5, **SMALL)) != folder
    assert not create_series(run, series_of(run, [0, 2], **SMALL))[1], "there is nothing left to do"
    worked: list[int] = []
    real = across.intervene_at
    monkeypatch.setattr(across, "intervene_at", lambda task: (worked.append(task.round), real(task)))
    assert begun(run) == folder
    assert done(run, folder)["summary"]["rounds"] == 3
    assert worked == [1]


def test_a_round_that_can_not_be_read_back_is_done_again(run: Run) -> None:
    folder = begun(run)
    first = done(run, folder)
    kept = folder / "rounds" / "000001.json"
    sealed = kept.read_text()
    other = json.dumps({**read_json(kept).values, "commit": "0"})  # what an earlier version wrote has no seal
    for content in ("", "[]", json.dumps({"round": 1}), other, sealed.replace('"records": ', '"records": 1')):
        assert content != sealed
        kept.write_text(content)
        create_series(run, series_of(run, **SMALL))
        assert done(run, folder) == first
        aside = [path.read_text() for path in kept.parent.glob(".000001.json.damaged-*")]
        assert content in aside, "what could not be understood is kept"


def test_a_series_that_can_not_be_read_is_said_and_hides_no_other(run: Run) -> None:
    good, bad = begun(run), begun(run, drop_bottom=0.5)
    for content in ("{", json.dumps({"series": {"rounds": []}, "created": 1.0})):
        (bad / "series.json").write_text(content)
        assert [job.folder for job in list_series(run)] == [good]
        (line,) = damaged_series(run)
        assert line.startswith(f"{bad.name}/series.json is damaged: ")


def test_a_series_at_a_round_that_is_not_there_is_one_line(run: Run) -> None:
    folder = begun(run, rounds=[0])
    document = read_json(folder / "series.json")
    assert document is not None
    series = {**document.values["series"], "rounds": [0, 12]}
    write_json(folder / "series.json", {**document.values, "series": series})
    write_json(folder / "rounds" / "000012.json", {"round": 12, "skipped": "long ago", "commit": "0"})
    with pytest.raises(EngineError, match="round 12"):
        done(run, folder)


def test_a_killed_worker_is_stale_and_its_finished_rounds_are_kept(run: Run) -> None:
    folder = begun(run, orders=8, episodes=400)
    worker = subprocess.Popen([sys.executable, "-m", "engine.jobs", str(folder)])
    wait_until(lambda: list((folder / "rounds").glob("0*.json")) or worker.poll() is not None, every=0.02)
    assert worker.poll() is None
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "rounds").glob("0*.json")}
    if len(kept) < 3:  # else it was done before it could be killed
        assert state(folder) == "stale"
        assert create_series(run, series_of(run, orders=8, episodes=400))[1]
    assert done(run, folder)["summary"]["rounds"] == 3
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert state(folder) == "done"


def test_cancelling_keeps_what_is_finished(run: Run) -> None:
    folder = begun(run)
    job = read_series(folder)
    assert job is not None

    def cancel(doing: str, done: int, total: int) -> None:
        if done == 1:
            request_cancel(job)

    with pytest.raises(CancelledError, match="cancelled"):
        work_series(run, folder, cancel, executor="inline")
    assert state(folder) == "cancelled"
    job = read_series(folder)
    assert job is not None
    assert [found["round"] for found in job.finished] == [0]
    assert not (folder / "result.json").exists()
    assert begun(run) == folder
    assert done(run, folder)["summary"]["rounds"] == 3


def test_rounds_that_allow_none_are_skipped_and_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    thinned = copied(run, "thinned", 3, minibatches=False)
    real = across.influence

    def without_negatives(snapshot: Any, *rest: Any) -> Scores:
        scores = real(snapshot, *rest)
        return replace(scores, influence=np.abs(scores.influence)) if snapshot.round == 0 else scores

    monkeypatch.setattr(across, "influence", without_negatives)
    result = done(thinned, begun(thinned))
    assert result["summary"]["rounds"] == 1
    reasons = {each["round"]: each["reason"] for each in result["summary"]["skipped"]}
    assert reasons[0] == "no record has negative influence on the return"
    assert "recorded without its minibatches" in reasons[2]
    assert "Skipped round 0: no record has negative influence on the return." in sentences(result["summary"])


def test_a_run_with_one_round_has_a_verdict_and_no_interval_over_rounds(run: Run) -> None:
    single = copied(run, "single", 1)
    summary = done(single, begun(single))["summary"]
    assert summary["rounds"] == 1
    assert summary["median"]["difference"]["low"] is None
    assert "too few rounds for an interval" in " ".join(sentences(summary))


def test_no_round_at_all_is_one_line(run: Run) -> None:
    thinned = copied(run, "thinned", 1, minibatches=False)
    folder = begun(thinned)
    with pytest.raises(BadInputError, match=r"no round of thinned can be intervened in: .*without its minibatches"):
        done(thinned, folder)
    job = read_series(folder)
    assert job is not None
    assert "without its minibatches" in job.finished[0]["skipped"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": [7]}, "round 7 has no records in this run; rounds with records are 0-2"),
        ({"drop_bottom": 0.0}, "must be above 0 and at most 1"),
        ({"estimator": "best"}, "unknown estimator 'best'; it must be one of first_order"),
        ({"mode": "shuffle"}, "it must be mask or rebatch"),
        ({"orders": 1}, "at least 2 are needed for an interval"),
        ({"orders": 8, "episodes": 4}, "at least one per order"),
    ],
)
def test_bad_settings_are_refused(run: Run, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        series_of(run, **settings)


def test_a_series_reads_back_as_it_was_written() -> None:
    series = Series(rounds=(3, 1), drop_bottom=0.25, mode="rebatch")
    assert Series.from_json(json.loads(json.dumps(series.to_json()))) == series


# What many rounds say together.


def made_up(k: int, difference: list[float], control: list[float]) -> dict[str, Any]:
    """A round whose original returns 10 in every order."""
    from engine.intervention.comparison import compare

    arms = {"original": 10 + 0 * np.array(difference), "counterfactual": 10 + np.array(difference)}
    arms["control"] = 10 + np.array(control)
    means = {name: values.tolist() for name, values in arms.items()}
    return {
        "round": k,
        "order_means": means,
        "same_machine": True,
        **compare(**{name: values[:, None] for name, values in arms.items()}),
    }


HELPS = [1.0, 1.1, 0.9, 1.05]
NOISE = [0.1, -0.1, 0.05, -0.04]
UNSURE = [0.3, 1.0, 0.5, 0.7]
"""On its own it helps, but not clearly enough among twenty."""


def test_changes_of_a_round() -> None:
    found = changes(made_up(0, [1.0, 0.0], [0.0, -1.0]))
    assert {name: values.tolist() for name, values in found.items()} == {
        "difference": [1, 0],
        "control": [0, -1],
        "difference_from_control": [1, 1],
    }


def test_p_values_follow_the_verdicts() -> None:
    hurts = made_up(0, [-value for value in HELPS], NOISE)
    like_random = made_up(0, HELPS, HELPS)
    none = made_up(0, [0, 0, 0, 0], [0, 0, 0, 0])
    assert (hurts["verdict"], like_random["verdict"], none["verdict"]) == ("hurts", "within noise", "within noise")
    assert p_value(hurts) == p_value(made_up(0, HELPS, [-value for value in NOISE])) < 0.001
    assert p_value(like_random) == p_value(none) == 1
    assert p_value(made_up(0, [1, 1, 1, 1], [0, 0, 0, 0])) == 0, "every order agrees"


def test_summary_counts_corrects_and_says_what_chance_would_do() -> None:
    rounds = [made_up(k, NOISE, NOISE[::-1]) for k in range(18)]
    rounds += [made_up(18, HELPS, NOISE), made_up(19, UNSURE, NOISE)]
    summary = summarize([*rounds, {"round": 20, "skipped": "nothing to remove"}])
    assert rounds[19]["verdict"] == "helps"
    assert (summary["rounds"], summary["helps"], summary["hurts"]) == (20, [18, 19], [])
    assert summary["by_chance"] == pytest.approx(0.5)
    assert summary["corrected"] == {"helps": [18], "hurts": []}
    assert summary["median"]["difference"]["median"] == pytest.approx(np.mean(NOISE))
    said = " ".join(sentences(summary))
    assert "helps in 2 (18-19), hurts in 0 and is within noise in 18" in said
    assert "up to 0.5 of 20 rounds would read helps by chance" in said
    assert "helps is left in 1 (18) and hurts in 0" in said
    assert "Skipped round 20: nothing to remove." in said


def test_the_medians_interval_is_that_of_the_order_statistics() -> None:
    """Of nine rounds the 2nd and the 8th value hold the median with 96 % confidence; five rounds hold none with 95 %."""
    rounds = [made_up(k, [k, k], [0, 0]) for k in range(9)]
    median = summarize(rounds)["median"]["difference"]
    assert (median["median"], median["low"], median["high"]) == (4, 1, 7)
    assert summarize(rounds[:5])["median"]["difference"] == {"median": 2, "low": None, "high": None}


# The command.


def test_command_prints_a_line_a_round_and_the_summary(command: Command, run: Run, tmp_path: Path) -> None:
    said = command("interventions", run.path, "--orders", 2, "--evaluate", 4, "--rounds", "0-1", "--executor", "inline")
    assert said.code == 0, said.err
    assert "Of 2 rounds the removal helps in" in said.out
    assert "round 0 is finished (1/2" in said.err
    out = tmp_path / "out"
    arguments = ("interventions", run.path, "--orders", 2, "--evaluate", 4, "--executor", "inline", "--json")
    told = command(*arguments, "--out", out).json
    assert (told["run"], told["folder"], told["summary"]["rounds"]) == (str(run.path), str(out), 3)
    assert (out / "result.json").exists()
    assert command(*arguments).json["rounds"] == told["rounds"]
    refused(command(*arguments, "--drop-bottom", 0.5, "--out", out), "holds interventions with other settings")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rounds", "0-9"), "round 3 has no records"),
        (("--rounds", "few"), "must be numbers and ranges"),
        (("--drop-bottom", "2"), "must be above 0 and at most 1"),
        (("--executor", "magic"), "the executor is 'magic'"),
        (("--mode", "shuffle"), "unknown mode"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    command: Command,
    run: Run,
    arguments: tuple[str, ...],
    message: str,
    listing: Listing,
) -> None:
    before = listing(run.path)
    refused(command("interventions", run.path, *arguments), message)
    assert listing(run.path) == before


def test_a_folder_that_can_not_be_is_one_line(command: Command, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(command("interventions", run.path, "--out", tmp_path / "file" / "out"), "a folder is needed there")

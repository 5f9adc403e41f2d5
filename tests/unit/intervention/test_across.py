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
from deadlines import wait_until

import engine
from engine.core.filtering import bottom_fraction
from engine.core.scores import Scores
from engine.errors import BadInputError, CancelledError, EngineError
from engine.executors import INLINE
from engine.intervention import across
from engine.intervention.across import Series, series_of
from engine.intervention.series_summary import sentences
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
    return work_series(run, folder, pool=INLINE)


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
    folder = begun(run, orders=4, episodes=200)
    worker = subprocess.Popen([sys.executable, "-m", "engine.jobs", str(folder)])
    wait_until(lambda: list((folder / "rounds").glob("0*.json")) or worker.poll() is not None, every=0.02)
    assert worker.poll() is None
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "rounds").glob("0*.json")}
    if len(kept) < 3:  # else it was done before it could be killed
        assert state(folder) == "stale"
        assert create_series(run, series_of(run, orders=4, episodes=200))[1]
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
        work_series(run, folder, cancel, pool=INLINE)
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
        ({"rounds": []}, "rounds is .*; it must be a list of at least 1"),
        ({"drop_bottom": 0.0}, "drop_bottom is 0.0; it must be above 0 and at most 1"),
        ({"estimator": "best"}, "unknown estimator 'best'; it must be one of first_order"),
        ({"mode": "shuffle"}, "it must be mask or rebatch"),
        ({"orders": 1}, "orders is 1; it must be from 2 to 4,096"),
        ({"orders": 8, "episodes": 4}, "at least one per order"),
    ],
)
def test_bad_settings_are_refused(run: Run, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        series_of(run, **settings)


def test_a_series_reads_back_as_it_was_written() -> None:
    series = Series(rounds=(3, 1), drop_bottom=0.25, mode="rebatch")
    assert Series.from_json(json.loads(json.dumps(series.to_json()))) == series

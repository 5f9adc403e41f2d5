"""Which rounds are kept as a run goes on: every n-th, the last, and those around what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import languages
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import same_tensors

import engine
from benchmarks.faults import dropping
from benchmarks.faults.made_up_rounds import assert_same_snapshot, make_snapshot
from engine import incident_watch
from engine.core.kept_rounds import LONG, KeptRounds
from engine.core.replays.replayed_run import replay_run
from engine.errors import BadInputError
from engine.keep import Keep
from engine.store import Files, RunWriter, open_run, verify_run
from engine.store.chain import Commit, DataFile
from engine.store.kept_files import KeptFiles

SMALL = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "n_envs": 1}


@dataclass(frozen=True)
class Seen:
    first: int
    last: int
    onset: int
    onsets: tuple[int, ...] = ()
    kind: str = "drop"


class Told:
    """Sees what it is told to see."""

    def __init__(self, at: Mapping[int, Sequence[Seen]]) -> None:
        self.at = at

    def see(self, round: int, metrics: Mapping[str, Any]) -> Sequence[Seen]:
        return self.at.get(round, ())


def committed(
    keep: Keep, rounds: int, at: Mapping[int, Sequence[Seen]], monkeypatch: pytest.MonkeyPatch
) -> list[list[int]]:
    """After each round, those that are there."""
    monkeypatch.setattr(incident_watch, "_HOMES", [lambda discrete: Told(at)])
    kept, files, there = KeptRounds(keep, dropping.manifest()), KeptFiles(), []
    for k in range(rounds):
        gone = tuple(kept.dropped(k, {}, files))
        named = tuple(DataFile(f"{k}-{kind}", kind, 1, "", 1) for kind in ("records", "checkpoint", "minibatches"))
        commit = Commit(k, False, named, {}, "", dropped=gone)
        assert files.problem(commit) is None
        files.add(commit)
        there.append(files.rounds)
    return there


incidents = st.builds(
    lambda seen, ago, length, later: (
        seen,
        Seen(max(0, seen - ago), max(0, seen - ago) + length, max(0, seen - ago) + later),
    ),
    st.integers(0, 60),
    st.integers(0, 12),
    st.integers(0, LONG + 5),
    st.integers(0, 2),
)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 9), st.integers(1, 12), st.integers(0, 11), st.lists(incidents, max_size=4), st.integers(1, 60))
def test_what_is_kept_is_what_a_plain_model_keeps(
    every: int, last: int, around: int, seen: list[tuple[int, Seen]], rounds: int
) -> None:
    keep = Keep(every, last, min(around, last - 1))
    at = {k: [each for when, each in seen if when == k] for k, _ in seen}
    with pytest.MonkeyPatch.context() as patch:
        found = committed(keep, rounds, at, patch)
    there: set[int] = set()
    for k in range(rounds):
        there.add(k)
        known = [each for when, each in seen if when <= k]
        for each in [*there]:
            new = each > k - keep.last
            nth = keep.every and each % keep.every == 0
            near = any(
                abs(each - point) <= keep.around for incident in known for point in (incident.first, incident.onset)
            ) or any(
                incident.first - keep.around <= each <= incident.last + keep.around
                for incident in known
                if incident.last - incident.first <= LONG
            )
            ends = {(i.kind, i.first): i.last for i in known if i.last - i.first > LONG}
            if not (new or nth or near or any(abs(each - end) <= keep.around for end in ends.values())):
                there.remove(each)
        assert found[k] == sorted(there)


def test_what_was_near_an_incident_stays_where_its_onset_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    at = {12: [Seen(10, 10, 10)], 16: [Seen(13, 14, 13)]}
    there = committed(Keep(every=0, last=4, around=2), 40, at, monkeypatch)
    assert there[-1] == [*range(8, 17), 36, 37, 38, 39]


def test_a_long_incident_keeps_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    at = {k: [Seen(10, k, 10, kind="stuck")] for k in range(10, 201)}
    there = committed(Keep(every=0, last=4, around=2), 300, at, monkeypatch)
    assert there[-1] == [*range(8, 10 + LONG + 2 + 1), *range(198, 203), 296, 297, 298, 299]


def test_a_training_keeps_what_it_is_told_and_replays_it(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=8, **SMALL)
    keep = Keep(every=3, last=2, around=0)
    run = engine.train(config, tmp_path / "thin", keep=keep)
    whole = engine.train(config, tmp_path / "whole")
    near = {k for each in engine.incidents(run) for k in (each.onset, *range(each.first, each.last + 1))}
    assert run.stored_rounds == sorted({0, 3, 6, 7} | near)
    assert run.checkpoint_rounds == sorted({k + more for k in run.stored_rounds for more in (0, 1)})
    assert run.manifest.schema_version == 4
    assert [info.metrics["mean_return"] for info in run.rounds] == [
        info.metrics["mean_return"] for info in whole.rounds
    ]
    for k in run.checkpoint_rounds:
        same_tensors(run.checkpoint(k), whole.checkpoint(k))
    assert verify_run(run.path) == []
    assert [(each.round, each.equal) for each in replay_run(run)] == [(k, True) for k in run.stored_rounds]


def test_an_interrupted_training_drops_what_it_would_have_dropped(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=7, **SMALL)
    keep = Keep(every=4, last=2, around=1)
    whole = engine.train(config, tmp_path / "whole", keep=keep)
    for stop in (1, 4):
        going = engine.rounds(config, tmp_path / "run", resume=stop > 1, keep=keep)
        for snapshot in going:
            if snapshot.round == stop:
                break
        going.close()
    run = engine.train(config, tmp_path / "run", resume=True, keep=keep)
    assert (run.stored_rounds, run.checkpoint_rounds) == (whole.stored_rounds, whole.checkpoint_rounds)
    assert verify_run(run.path) == []


@pytest.mark.long
def test_a_language_run_keeps_what_it_is_told(tmp_path: Path) -> None:
    run = engine.train(languages.settings(tmp_path, rounds=5), tmp_path / "run", keep=Keep(every=4, last=1, around=0))
    assert {0, 4} <= {*run.stored_rounds} < {*range(5)}
    assert run.manifest.schema_version == 4
    assert verify_run(run.path) == []
    assert [(each.round, each.equal) for each in replay_run(run)] == [(k, True) for k in run.stored_rounds]


def test_a_run_that_was_started_without_keep_goes_on_without(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=3, **SMALL)
    going = engine.rounds(config, tmp_path / "run")
    next(going), next(going)
    going.close()
    with pytest.raises(BadInputError, match="was started without keep="):
        engine.train(config, tmp_path / "run", resume=True, keep=Keep())
    assert engine.train(config, tmp_path / "run", resume=True).stored_rounds == [0, 1, 2]


class Quick(Files):
    """Forces nothing to the disk: for many rounds."""

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        return None if operation.__name__ == "fsync" else operation(*args, **kwargs)


@pytest.mark.slow
def test_a_collapse_in_ten_thousand_rounds_is_kept_whole(tmp_path: Path) -> None:
    keep, rng = Keep(every=500, last=40, around=12), np.random.default_rng(0)
    kept = KeptRounds(keep, dropping.manifest())
    with RunWriter.create(tmp_path / "run", dropping.manifest(), Quick()) as writer:
        for k in range(10_000):
            mean = (200.0 if k < 7312 else 60.0) + rng.normal()
            metrics = {"episodes": 8, "mean_return": mean, "std_return": 10.0, "approx_kl": 0.01, "entropy": 0.5}
            writer.commit_round(make_snapshot(k), metrics, kept.dropped(k, metrics, writer.kept))
    run = open_run(tmp_path / "run")
    assert {*range(7300, 7316), *range(9960, 10_000), *range(0, 10_000, 500)} <= {*run.stored_rounds}
    assert len(run.stored_rounds) < 150
    assert [info.round for info in run.rounds] == [*range(10_000)]
    assert all("mean_return" in info.metrics for info in run.rounds)
    assert {k + 1 for k in run.stored_rounds if k + 1 < 10_000} <= {*run.checkpoint_rounds}
    for k in range(7300, 7316):
        assert_same_snapshot(run.snapshot(k), make_snapshot(k))
    assert len([*(tmp_path / "run" / "data").iterdir()]) == len(run.kept.names) < 500
    assert verify_run(run.path) == []

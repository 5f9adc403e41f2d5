"""What a recorder says of the disk, and what it keeps where nobody says."""

from __future__ import annotations

import json
import signal
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from deadlines import wait_until
from recorded_policies import MODELS

import engine
from benchmarks.faults import dropping
from engine.core.replays.replayed_run import replay_run
from engine.errors import BadInputError
from engine.keep import Keep
from engine.recording import disk_space, sb3
from engine.recording.disk_space import LARGE, NTH, DiskSpace, chosen
from engine.store.chain import Commit, DataFile
from engine.store.kept_files import KeptFiles

MB = 10**6


def recorded(space: DiskSpace, rounds: int, whole: int, checkpoint: int) -> tuple[KeptFiles, int, str]:
    """So many rounds of so many bytes: what is there in the end, the most that was, and what was said."""
    kept, most, said = KeptFiles(), 0, ""
    for k in range(rounds):
        sizes = {"records": whole - checkpoint, "checkpoint": checkpoint if k else checkpoint // 3, "minibatches": 0}
        gone = tuple(space.dropped(k, {}, kept))
        named = tuple(DataFile(f"{k}-{kind}", kind, n, "", 1) for kind, n in sizes.items())
        kept.add(Commit(k, False, named, {}, "", dropped=gone))
        most = max(most, kept.bytes)
        if k == 1:
            said = space.forecast(kept)
    return kept, most, said


def test_a_small_run_is_kept_whole_and_says_so() -> None:
    kept, _, said = recorded(DiskSpace("as fits", dropping.manifest(), 100), 100, MB, 1000)
    assert kept.rounds == [*range(100)]
    assert said == "a round takes 1.0 MB, and 100 of them 100 MB; every round is kept (keep= says otherwise)"


def test_ten_million_steps_of_an_atari_game_stay_below_twenty_gigabytes() -> None:
    kept, most, said = recorded(DiskSpace("as fits", dropping.manifest(), 9766), 9766, 19_400_000, 18_900_000)
    assert most < 0.75 * LARGE
    assert kept.rounds[:3] == [0, 50, 100]
    assert kept.rounds[-20:] == [*range(9746, 9766)]
    assert said == (
        "a round takes 19 MB, and 9,766 of them 189 GB; kept are every 50th round, the last 20 rounds, and 3 before and after "
        "each incident: about 9.4 GB (keep= says otherwise)"
    )


def test_a_run_whose_length_nobody_knows_is_thinned_as_it_grows() -> None:
    kept, most, said = recorded(DiskSpace("as fits", dropping.manifest(), None), 3000, 400 * MB, 100 * MB)
    assert said == "a round takes 400 MB; every round is kept, up to 4.0 GB (keep= says otherwise)"
    assert most < LARGE
    assert len(kept.rounds) > 25
    kept, _, _ = recorded(DiskSpace("as fits", dropping.manifest(), None), 9, 400 * MB, 100 * MB)
    assert kept.rounds == [*range(9)]


def test_what_it_is_told_holds() -> None:
    kept, most, said = recorded(DiskSpace(None, dropping.manifest(), 200), 200, 400 * MB, 1000)
    assert len(kept.rounds) == 200
    assert most > 199 * 400 * MB
    assert "every round is kept (" in said
    kept, _, said = recorded(DiskSpace(Keep(7, 3, 0), dropping.manifest(), 30), 30, 1000, 10)
    assert kept.rounds == [0, 7, 14, 21, 27, 28, 29]
    assert "kept are every 7th round, the last 3 rounds, and 0 before" in said


@pytest.mark.parametrize("rounds", [10, 1000, 10**6])
@pytest.mark.parametrize("whole", [10**4, 10**7, 10**9])
def test_what_is_chosen_fits(rounds: int, whole: int) -> None:
    keep = chosen(rounds, whole, whole // 2)
    assert keep.estimate(rounds, whole, whole // 2) < LARGE or keep.every == NTH[-1]


def train(path: Path, rounds: int, **how: Any) -> engine.Run:
    model = MODELS["a2c"]()
    with sb3.Recorder(path, **how) as recorder:
        model.learn(rounds * model.n_steps * model.n_envs, callback=recorder)
    return engine.open_run(path)


def test_a_recorder_keeps_what_it_is_told_says_so_once_and_replays_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(tmp_path / "run", 8, keep=Keep(every=3, last=2, around=0))
    assert {0, 3, 6, 7} <= {*run.stored_rounds} < {*range(8)}
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path / 'run'}: a round takes ")
    assert said.count("\n") == 1
    assert engine.verify_run(run.path) == []
    assert [(each.round, each.equal) for each in replay_run(run)] == [(k, True) for k in run.stored_rounds]
    run = train(tmp_path / "whole", 3, quiet=True)
    assert run.stored_rounds == [0, 1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.long
def test_a_recorder_without_a_word_drops_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "SMALL", 1000)
    monkeypatch.setattr(disk_space, "LARGE", 3_000_000)
    run = train(tmp_path / "run", 100)
    assert run.kept.bytes < 3_000_000
    assert len(run.stored_rounds) < 60
    assert engine.verify_run(run.path) == []


@pytest.mark.parametrize("keep", [5, "all", {"every": 3}, True])
def test_a_wrong_keep_ends_in_one_line(tmp_path: Path, keep: Any) -> None:
    with pytest.raises(BadInputError, match=r"^keep is [^\n]*; it must be an engine\.Keep"):
        sb3.Recorder(tmp_path / "run", keep=keep)


def has_commits(path: Path, count: int) -> bool:
    return len([*path.glob("commits/*.json")]) >= count


def records_for_ever(path: Path) -> None:
    MODELS["a2c"]().learn(10**7, callback=sb3.Recorder(path, keep=Keep(every=5, last=2, around=0)))


def test_a_recording_that_is_killed_while_it_drops_loses_nothing(tmp_path: Path) -> None:
    for attempt in range(2):
        path = tmp_path / f"{attempt}"
        process = get_context("fork").Process(target=records_for_ever, args=(path,))
        process.start()
        wait_until(partial(has_commits, path, 9 + attempt), every=0.002)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it was over before it could be killed"
        assert engine.verify_run(path) == []
        run = engine.open_run(path)
        last = run.rounds[-1].round
        assert {*range(0, last + 1, 5), last - 1, last} <= {*run.stored_rounds}
        assert {k + 1 for k in run.stored_rounds if k < last} <= {*run.checkpoint_rounds}
        assert [info.round for info in run.rounds] == [*range(last + 1)]
        assert json.loads(json.dumps(run.rounds[-1].metrics))
        for k in run.stored_rounds:
            assert len(run.snapshot(k).buffer)

"""`engine.incidents` on recorded runs of both kinds, healthy, damaged, short and broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_metrics import write

import engine
from benchmarks.faults.made_up_rounds import make_manifest
from engine.errors import BadInputError, DamagedRunError, NotARunError
from engine.store import RunWriter, export_run

SAMPLES = Path(engine.__file__).parents[1] / "sample_runs"


@pytest.mark.parametrize("name", ["Acrobot-v1", "FrozenLake-v1", "LunarLander-v3", "courtesy"])
def test_the_sample_runs_have_no_incident(name: str) -> None:
    """LunarLander falls from 226 to 99 at round 50, over five episodes: on common seeds both policies are as good."""
    found = engine.incidents(SAMPLES / name)
    assert (len(found), found.too_few, found.missing) == (0, "", ())
    assert found.largest is not None
    assert found.rounds == len(engine.open_run(SAMPLES / name).rounds)


def test_a_fall_in_a_recorded_run(tmp_path: Path) -> None:
    run = engine.open_run(write(tmp_path / "run", [{}] * 6 + [{"mean_return": 20.0}] * 2))
    (only,) = engine.incidents(run)
    assert (only.kind, only.onset, only.update) == ("drop", 6, 5)
    assert only == next(iter(engine.incidents(str(tmp_path / "run"))))


def test_a_growing_run_says_the_same_as_a_watch(tmp_path: Path) -> None:
    run = engine.open_run(write(tmp_path / "run", [{}] * 6 + [{"mean_return": 20.0}] * 2))
    watch = engine.Watch()
    for info in run.rounds:
        watch.see(info.round, info.metrics)
    assert watch.incidents == engine.incidents(run)


def test_records_that_hold_what_is_no_number_are_named(tmp_path: Path) -> None:
    rounds = [{}, {}, {"approx_kl": float("nan"), "mean_return": None}, {"approx_kl": None, "mean_return": None}]
    (only,) = engine.incidents(write(tmp_path / "run", rounds, broken=[2, 3]))
    assert (only.kind, only.first, only.last, only.records) == ("not finite", 2, 3, (4, 7))
    assert only.reason == (
        "KL, mean return are no numbers from round 2 to 3; KL was 0.01 in round 1; "
        "reward is not finite in 2 of 32 records (4, 7)"
    )
    (healthy,) = engine.incidents(write(tmp_path / "sound", rounds))
    assert healthy.records == ()
    assert healthy.reason.endswith("all numbers of its 32 records are finite")


def test_a_round_without_its_records_or_with_damaged_ones_is_still_an_incident(tmp_path: Path) -> None:
    path = write(tmp_path / "run", [{}, {}, {"approx_kl": None}], broken=[2])
    thin = engine.incidents(_thinned(path, tmp_path))
    assert [(each.onset, each.records) for each in thin] == [(2, ())]
    file = next((path / "data").glob("000002-records-*"))
    file.write_bytes(file.read_bytes()[:-9])
    found = engine.incidents(path)
    assert [(each.onset, each.records) for each in found] == [(2, ())]
    assert found.missing[-1].startswith("records that hold what is no number are not named: data/000002-records-")


def _thinned(path: Path, folder: Path) -> Path:
    return export_run(path, folder / "thin", [0]).path


def test_a_run_of_one_round_and_one_of_none_are_too_few_to_tell(tmp_path: Path) -> None:
    one = engine.incidents(write(tmp_path / "one", [{}]))
    assert one.too_few == (
        "too few episodes to tell: 8 episodes ended in 1 round; a fall needs 6 in 2 rounds before it and 4 after"
    )
    with RunWriter.create(tmp_path / "none", make_manifest()):
        pass
    none = engine.incidents(tmp_path / "none")
    assert (len(none), none.rounds, none.largest) == (0, 0, None)
    assert none.too_few.startswith("too few episodes to tell: 0 episodes ended in 0 rounds")


def test_what_is_no_run_or_a_damaged_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotARunError):
        engine.incidents(tmp_path)
    with pytest.raises(BadInputError, match="a run is needed, not NoneType"):
        engine.incidents(None)  # type: ignore[arg-type]
    path = write(tmp_path / "run", [{}] * 3)
    commit = path / "commits" / "000001.json"
    commit.write_bytes(commit.read_bytes().replace(b"200.0", b"300.0"))
    with pytest.raises(DamagedRunError, match=r"000001\.json is damaged"):
        engine.incidents(path)


def test_records_unlike_those_before(tmp_path: Path) -> None:
    """Seventeen rounds of 32 records, then a turned sign; a damaged round is named and the rest is looked at."""
    path = write(tmp_path / "run", [{}] * 20, reward=lambda k: 1.0 if k < 17 else -1.0)
    assert len(engine.incidents(path)) == 0
    (only,) = engine.incidents(path, records=True)
    assert (only.kind, only.onset, only.update) == ("unlike before", 17, 17)
    assert only.reason == "100% of the records have the reward -1, which none of 544 in 17 rounds before had"
    kept = sorted((path / "derived").iterdir())
    assert engine.incidents(path, records=True)[0] == only
    assert sorted((path / "derived").iterdir()) == kept
    damaged = next((path / "data").glob("000003-records-*"))
    damaged.write_bytes(b"")
    found = engine.incidents(path, records=True, cache=False)
    assert [each.onset for each in found] == [17]
    assert found.missing[-1].startswith("records of round 3 were not looked at: data/000003-records-")


@pytest.mark.parametrize("name", ["Acrobot-v1", "CliffWalking-v1", "FrozenLake-v1", "LunarLander-v3", "courtesy"])
def test_the_records_of_the_sample_runs_are_alike(name: str) -> None:
    told: list[tuple[int, int]] = []
    found = engine.incidents(
        SAMPLES / name, records=True, cache=False, report=lambda doing, done, total: told.append((done, total))
    )
    assert len(found) == 0
    assert not any("round" in note and ("checked" in note or "looked at" in note) for note in found.missing)
    stored = len(engine.open_run(SAMPLES / name).stored_rounds)
    assert told[-1] == (stored, stored)

"""Rounds that a later commit drops: what is gone, what stays, and who may say so."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.faults import dropping
from benchmarks.faults.made_up_rounds import METRICS, assert_same_snapshot, make_manifest, make_snapshot, write_run
from engine.errors import BadInputError, DamagedRunError
from engine.store import RunWriter, export_run, open_run, verify_run
from engine.store.chain import Commit, DataFile
from engine.store.kept_files import KeptFiles


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return dropping.write(tmp_path / "run")


def test_what_is_dropped_is_gone_and_metrics_stay(run: Path) -> None:
    assert dropping.check(run) == [*range(5)]
    opened = open_run(run)
    assert opened.stored_rounds == [3]
    assert opened.checkpoint_rounds == [3, 4]
    whole = {f"000003-{kind}" for kind in ("records", "checkpoint", "minibatches")}
    assert dropping.on_disk(run) == {*whole, "000004-checkpoint"}
    assert [info.stored for info in opened.rounds] == [False, False, False, True]
    assert opened.rounds[3].bytes > 0 == opened.rounds[2].bytes


def test_the_parameters_after_a_kept_round_stay(tmp_path: Path) -> None:
    drops = {3: (1, 2)}
    run = dropping.write(tmp_path / "run", drops=drops)
    dropping.check(run, drops)
    opened = open_run(run)
    assert opened.stored_rounds == [0, 3]
    assert opened.checkpoint_rounds == [0, 1, 3, 4]
    assert "000001-checkpoint" in dropping.on_disk(run)
    assert not {"000001-records", "000001-minibatches", "000002-checkpoint"} & dropping.on_disk(run)


def test_a_round_that_was_not_kept_is_said_in_one_line(run: Path) -> None:
    opened = open_run(run)
    with pytest.raises(BadInputError) as caught:
        opened.snapshot(1)
    assert str(caught.value) == "round 1 was recorded, and its records not kept; rounds with records are 3"
    with pytest.raises(BadInputError) as caught:
        opened.checkpoint(2)
    assert str(caught.value) == "round 2 was recorded, and its checkpoint not kept; rounds with a checkpoint are 3-4"


def test_a_reader_from_before_the_drop_is_told_to_refresh(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", dropping.manifest()) as writer:
        for k in range(3):
            writer.commit_round(make_snapshot(k), METRICS)
        old = open_run(tmp_path / "run")
        writer.commit_round(make_snapshot(3), METRICS, [0, 1])
    said = "^round {} is no longer kept: the run goes on, and dropped it since it was read; refresh the run$"
    for k, ask in ((0, old.snapshot), (1, old.snapshot), (1, old.checkpoint)):
        with pytest.raises(BadInputError, match=said.format(k)):
            ask(k)
    assert_same_snapshot(old.snapshot(2), make_snapshot(2))
    old.refresh()
    assert old.stored_rounds == [2, 3]


def test_verify_beside_a_writer_that_drops(tmp_path: Path) -> None:
    """Round 0 is dropped between its look at the commits and its look at the data."""
    from engine.store import Files

    with RunWriter.create(tmp_path / "run", dropping.manifest()) as writer:
        for k in range(2):
            writer.commit_round(make_snapshot(k), METRICS)

        class Beside(Files):
            done = False

            def read(self, path: Path, limit: int | None = None) -> bytes:
                if path.parent.name == "data" and not self.done:
                    self.done = True
                    writer.commit_round(make_snapshot(2), METRICS, [0])
                return super().read(path, limit)

        assert verify_run(tmp_path / "run", Beside()) == []
        next((tmp_path / "run" / "data").glob("000001-records-*")).unlink()
        assert [found.file[:18] for found in verify_run(tmp_path / "run")] == ["data/000001-record"]


def test_verify_finds_what_no_commit_dropped(run: Path) -> None:
    for name in ("000003-records", "000004-checkpoint"):
        file = next((run / "data").glob(f"{name}-*"))
        data = file.read_bytes()
        file.unlink()
        assert [(found.file, found.problem) for found in verify_run(run)] == [
            (f"data/{file.name}", f"data/{file.name} is missing")
        ]
        file.write_bytes(data)
    assert verify_run(run) == []


def test_files_of_dropped_rounds_that_are_still_there_are_no_damage_and_are_swept(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", dropping.manifest()) as writer:
        for k in range(2):
            writer.commit_round(make_snapshot(k), METRICS)
        before = {file: file.read_bytes() for file in (tmp_path / "run" / "data").iterdir()}
        writer.commit_round(make_snapshot(2), METRICS, [0])
    gone = [file for file in before if not file.exists()]
    assert len(gone) == 3
    for file in gone:
        file.write_bytes(before[file][:-1])
    assert verify_run(tmp_path / "run") == []
    assert open_run(tmp_path / "run").stored_rounds == [1, 2]
    RunWriter.append(tmp_path / "run").close()
    assert not any(file.exists() for file in gone)


def test_a_run_of_which_rounds_were_dropped_is_exported(run: Path, tmp_path: Path) -> None:
    thin = export_run(run, tmp_path / "thin", [3])
    assert thin.stored_rounds == [3]
    assert [info.metrics for info in thin.rounds] == [info.metrics for info in open_run(run).rounds]
    assert verify_run(thin.path) == []
    with pytest.raises(BadInputError, match=r"^round 1 was recorded, and its records not kept"):
        export_run(run, tmp_path / "other", [1, 3])


@pytest.mark.parametrize(
    ("dropped", "problem"),
    [
        ([3], "drops round 3, which does not come before it"),
        ([7], "drops round 7, which does not come before it"),
        ([1, 1], "the rounds that it drops are not in order"),
        ([1, 0], "the rounds that it drops are not in order"),
        ([0], "drops round 0, which has no records by then"),
    ],
)
def test_the_writer_drops_what_can_be_dropped(tmp_path: Path, dropped: list[int], problem: str) -> None:
    with RunWriter.create(tmp_path / "run", dropping.manifest()) as writer:
        for k in range(2):
            writer.commit_round(make_snapshot(k), METRICS)
        writer.commit_round(make_snapshot(2), METRICS, [0])
        with pytest.raises(BadInputError, match=problem):
            writer.commit_round(make_snapshot(3), METRICS, dropped)
        writer.commit_round(make_snapshot(3), METRICS, [1])
    assert open_run(tmp_path / "run").stored_rounds == [2, 3]


def test_an_older_run_drops_nothing(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        writer.commit_round(make_snapshot(0), METRICS)
        with pytest.raises(BadInputError, match="was started without keep=, so that no round can be dropped"):
            writer.commit_round(make_snapshot(1), METRICS, [0])


def forged(run: Path, number: int, **changed: Any) -> Path:
    """The run with other values in a commit, every hash after it right."""

    def canonical(content: dict[str, Any]) -> bytes:
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    previous = None
    for path in sorted((run / "commits").glob("*.json"))[number:]:
        values = json.loads(path.read_bytes())
        values.pop("sha256")
        values |= changed if previous is None else {"previous": previous}
        previous = sha256(canonical(values)).hexdigest()
        path.write_bytes(canonical({**values, "sha256": previous}) + b"\n")
    return run


@pytest.mark.parametrize(
    "dropped",
    [[4], [9], [5], [0, 0], [1, 0], [0, 9], [-1], ["0"], [True], 0, {"0": 1}, [10**400], ["000001-checkpoint"], []],
)
@pytest.mark.parametrize("number", [4, 6])
def test_a_forged_drop_ends_in_one_line(tmp_path: Path, number: int, dropped: Any) -> None:
    if number == 6 and dropped in ([4], [5]):
        dropped = [6]
    run = forged(write_run(tmp_path / "run", rounds=6), number, dropped=dropped)
    with pytest.raises(DamagedRunError, match=rf"^commits/00000{number}\.json is damaged: [^\n]*$"):
        open_run(run)
    assert [found.file for found in verify_run(run)] == [f"commits/00000{number}.json"]


def test_dropping_twice_ends_in_one_line(run: Path) -> None:
    forged(run, 4, dropped=[0])
    said = "commits/000004.json is damaged: it drops round 0, which has no records by then"
    with pytest.raises(DamagedRunError, match=said):
        open_run(run)
    assert said in [found.problem for found in verify_run(run)]


def test_commits_that_drop_nothing_say_nothing_of_it() -> None:
    commit = Commit(3, False, (), {}, "0" * 64)
    assert b"dropped" not in commit.to_bytes()
    dropping_one = Commit(3, False, (), {}, "0" * 64, dropped=(1,))
    assert Commit.from_bytes(dropping_one.to_bytes(), "000003.json") == dropping_one


KINDS = ("records", "checkpoint", "minibatches")


@settings(deadline=None)
@given(st.data(), st.integers(1, 30), st.integers(0, 9))
def test_what_is_kept_is_as_in_a_plain_model(data: st.DataObject, rounds: int, first: int) -> None:
    kept, there, gone = KeptFiles(), dict[int, set[str]](), set[int]()
    for k in range(first, first + rounds):
        thinned = data.draw(st.integers(0, 5)) == 0
        kinds = () if thinned else KINDS
        stored = [each for each, files in there.items() if "records" in files]
        dropped = tuple(sorted(data.draw(st.sets(st.sampled_from(stored), max_size=3)))) if stored else ()
        commit = Commit(
            k, False, tuple(DataFile(f"{k}-{kind}", kind, 1, "", 1) for kind in kinds), {}, "", dropped=dropped
        )
        assert kept.problem(commit) is None
        before = kept.names
        removed = kept.add(commit)
        there[k] = {*kinds}
        gone |= {*dropped}
        for each in dropped:
            there[each] -= {"records", "minibatches"}
        for each in gone:
            if "records" not in there.get(each - 1, ()):
                there[each].discard("checkpoint")
        assert kept.names == {f"{each}-{kind}" for each, files in there.items() for kind in files}
        assert {*removed} == before - kept.names
        assert kept.bytes == len(kept.names)
        assert kept.rounds == [each for each, files in there.items() if "records" in files]
        for each in kept.rounds:
            assert each + 1 not in there or not there[each + 1] or kept.file(each + 1, "checkpoint")

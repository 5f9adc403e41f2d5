"""Rounds, sets of records and notes, changed in any order and with any interruption, against a model in memory."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from benchmarks.faults import dropping
from benchmarks.faults.failing_files import CrashError, FailingFiles, through
from benchmarks.faults.made_up_rounds import METRICS, assert_same_snapshot, make_checkpoint, make_snapshot
from benchmarks.faults.writer import forget
from engine.errors import BadInputError, EngineError
from engine.intervention.record_sets import change_set, delete_group, group_of, read_sets, redo, save_group, undo
from engine.store import RunWriter, open_run, verify_run
from engine.store.run_notes import RunNotes, change_run_notes, read_run_notes

RECORDS = st.sets(st.integers(0, 31), max_size=4)
GROUPS = st.sampled_from(["odd", "猫"])
FAULTS = st.sampled_from(["full", "broken", "forbidden", "crash", "torn"])
Sets = dict[str, frozenset[int]]


class Session(RuleBasedStateMachine):
    """One writer, one reader that stays open, and somebody who chooses records, all at one run."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.path = self.folder / "run"
        self.writer = RunWriter.create(self.path, dropping.manifest())
        self.reader = open_run(self.path)
        self.rounds, self.is_final = 0, False
        self.drops: dict[int, tuple[int, ...]] = {}
        self.history: dict[int, tuple[list[Sets], int]] = {}
        """Round -> the sets after each change that is remembered, and which of them there is now."""
        self.notes = RunNotes()

    def teardown(self) -> None:
        self.writer.close()
        shutil.rmtree(self.folder)

    @property
    def stored(self) -> list[int]:
        return dropping.expected(range(self.rounds), self.drops)[0]

    @precondition(lambda self: not self.is_final and self.rounds < 9)
    @rule(drops=st.booleans())
    def commits(self, drops: bool) -> None:
        dropped = self.stored[:1] if drops and self.rounds > 1 else []
        self.writer.commit_round(make_snapshot(self.rounds), METRICS, dropped)
        self.drops[self.rounds] = tuple(dropped)
        self.rounds += 1

    @precondition(lambda self: not self.is_final and self.rounds)
    @rule()
    def ends(self) -> None:
        self.writer.commit_final(self.rounds, make_checkpoint(self.rounds))
        self.is_final = True

    @precondition(lambda self: self.is_final)
    @rule()
    def is_refused_after_the_end(self) -> None:
        with pytest.raises(BadInputError, match="the run ended"):
            self.writer.commit_round(make_snapshot(self.rounds + 1), METRICS)

    @rule()
    def resumes(self) -> None:
        self.writer.close()
        self.writer = RunWriter.append(self.path)

    @precondition(lambda self: not self.is_final and self.rounds < 9)
    @rule(index=st.integers(0, 60), fault=FAULTS)
    def is_interrupted(self, index: int, fault: str) -> None:
        """In the middle of a commit, or of what comes before it."""
        self.writer.close()
        files, acknowledged = FailingFiles(index, fault), False
        with suppress(EngineError, CrashError), RunWriter.append(self.path, files) as writer:
            writer.commit_round(make_snapshot(self.rounds), METRICS)
            acknowledged = True
        files.bury()
        self.writer = RunWriter.append(self.path)
        there = len(open_run(self.path).rounds)
        assert there in ((self.rounds + 1,) if acknowledged else (self.rounds, self.rounds + 1))
        if there > self.rounds:
            self.drops[self.rounds] = ()
        self.rounds = there

    def of(self, data: Any) -> int:
        return data.draw(st.sampled_from(range(self.rounds)))

    def sets_of(self, round: int) -> Sets:
        states, at = self.history.get(round, ([{}], 0))
        return states[at]

    def becomes(self, round: int, of: str, records: frozenset[int]) -> None:
        before = self.sets_of(round)
        if records != before.get(of, frozenset()):
            states, at = self.history.get(round, ([{}], 0))
            after = {name: kept for name, kept in before.items() if name != of} | ({of: records} if records else {})
            self.history[round] = [*states[: at + 1], after], at + 1

    @precondition(lambda self: self.rounds)
    @rule(data=st.data(), of=st.sampled_from(["basket", "selection"]), add=RECORDS, remove=RECORDS | st.none())
    def chooses(self, data: Any, of: str, add: set[int], remove: set[int] | None) -> None:
        round = self.of(data)
        had = self.sets_of(round).get(of, frozenset())
        change_set(open_run(self.path), round, of, add, remove)
        self.becomes(round, of, frozenset(add | (set() if remove is None else had - remove)))

    @precondition(lambda self: self.rounds)
    @rule(data=st.data(), name=GROUPS, records=RECORDS)
    def groups(self, data: Any, name: str, records: set[int]) -> None:
        round, run = self.of(data), open_run(self.path)
        if records:
            save_group(run, round, name, records)
        else:
            delete_group(run, round, name)
        self.becomes(round, group_of(name), frozenset(records))

    @precondition(lambda self: self.rounds)
    @rule(data=st.data(), is_back=st.booleans())
    def goes_back_and_forth(self, data: Any, is_back: bool) -> None:
        round = self.of(data)
        (undo if is_back else redo)(open_run(self.path), round)
        states, at = self.history.get(round, ([{}], 0))
        self.history[round] = states, min(max(at + (-1 if is_back else 1), 0), len(states) - 1)

    @precondition(lambda self: self.rounds)
    @rule(data=st.data(), records=RECORDS, index=st.integers(0, 40), fault=FAULTS)
    def chooses_while_the_disk_fails(self, data: Any, records: set[int], index: int, fault: str) -> None:
        round, done = self.of(data), False
        before = self.history.get(round, ([{}], 0))
        files = FailingFiles(index, fault)
        forget()
        with suppress(EngineError, CrashError), through(files):
            change_set(open_run(self.path), round, "basket", records, None)
            done = True
        files.bury()
        forget()
        self.becomes(round, "basket", frozenset(records))
        if not done and read_sets(open_run(self.path), round).basket != sorted(records):
            self.history[round] = before

    @rule(name=st.text("aé猫 ", max_size=5), archived=st.booleans())
    def says(self, name: str, archived: bool) -> None:
        self.notes = replace(self.notes, name=name, archived=archived)
        change_run_notes(self.path, lambda _: self.notes)

    @rule()
    def deletes_the_cache(self) -> None:
        shutil.rmtree(self.path / "derived", ignore_errors=True)

    @invariant()
    def all_that_is_there_is_as_the_model_has_it(self) -> None:
        self.reader.refresh()
        for run in (self.reader, open_run(self.path)):
            assert [info.round for info in run.rounds] == [*range(self.rounds)]
            assert (run.final is not None) == self.is_final
            assert run.stored_rounds == self.stored
        for k in self.stored[-2:]:
            assert_same_snapshot(self.reader.snapshot(k), make_snapshot(k))
        for k, (states, at) in self.history.items():
            sets = read_sets(self.reader, k)
            assert {of: frozenset(records) for of, records in sets.sets.items()} == states[at]
            assert (len(sets.undo), len(sets.redo)) == (at, len(states) - 1 - at)
        assert read_run_notes(self.path) == self.notes
        assert verify_run(self.path) == []


@pytest.mark.parametrize("examples", [5, pytest.param(500, marks=pytest.mark.slow)])
def test_whatever_is_done_in_any_order(examples: int) -> None:
    run_state_machine_as_test(
        Session,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            derandomize=examples < 100,
            database=None,
            suppress_health_check=[*HealthCheck],
        ),
    )

"""The three sequences to read, chosen from given changes; `test_every_kind` holds the changes to what two policies say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.analysis.checks.checked import Check
from engine.errors import CancelledError
from engine.intervention.autopsy.kept_returns import AFTER
from engine.intervention.autopsy.read_sequences import ask_moves, kept_moves, to_read
from engine.store.read import Run
from engine.store.snapshot import Snapshot

COURTESY = Path(engine.__file__).parents[1] / "sample_runs" / "courtesy"
WRONG = [Check("policy", True, "fine"), Check("advantages", False, "they do not follow", "records", (3, 5))]


@pytest.fixture(scope="module")
def run() -> Run:
    return engine.open_run(COURTESY)


@pytest.fixture(scope="module")
def snapshot(run: Run) -> Snapshot:
    return run.snapshot(0)


def test_the_least_likely_one_the_middle_and_the_likeliest(run: Run, snapshot: Snapshot) -> None:
    moves = kept_moves(run, snapshot, cache=False)
    moved = np.linspace(2.0, -1.0, len(snapshot.buffer))
    moves.keep(AFTER, moved)
    low, middle, high = to_read(snapshot, moves, ())
    assert (low.record, low.moved, high.record, high.moved) == (len(moved) - 1, -1, 0, 2)
    assert middle.moved == np.sort(moved)[(len(moved) - 1) // 2]
    assert low.why == "of all responses, this one lost most probability"
    assert low.sentence.startswith(f"Sequence {low.record}: reward {snapshot.buffer.reward[low.record]:.3g}, ")
    assert json.loads(json.dumps(low.to_json()))["records"] == [low.record]


def test_one_that_a_check_names_is_among_them_also_where_nothing_else_is_known(run: Run, snapshot: Snapshot) -> None:
    moves = kept_moves(run, snapshot, cache=False)
    assert [(each.record, each.moved) for each in to_read(snapshot, moves, WRONG)] == [(3, None)]
    assert to_read(snapshot, moves, WRONG[:1]) == ()
    moves.keep(AFTER, np.linspace(-1.0, -0.5, len(snapshot.buffer)))
    low, named, high = to_read(snapshot, moves, WRONG)
    assert (low.record, named.record, high.record) == (0, 3, len(snapshot.buffer) - 1)
    assert named.why == "the check of advantages names it"
    assert high.why == "no response gained probability; this one came closest"


def test_it_is_asked_once_and_of_texts_alone(run: Run, snapshot: Snapshot, cartpole: Run) -> None:
    def never(*said: object) -> None:
        raise CancelledError

    moves = kept_moves(run, snapshot, cache=False)
    moves.keep(AFTER, np.ones(len(snapshot.buffer)))
    ask_moves(run, snapshot, moves, never)
    steps = cartpole.snapshot(1)
    ask_moves(cartpole, steps, kept_moves(cartpole, steps), never)
    assert to_read(steps, kept_moves(cartpole, steps), WRONG) == ()

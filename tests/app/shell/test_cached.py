"""The dashboard's caches tell runs, rounds, targets and scores apart by what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import engine
from app.shell.cached import cached
from benchmarks.faults.made_up_rounds import METRICS, make_manifest, make_snapshot
from engine.store.commit import RunWriter
from engine.store.read import Run


def test_the_same_question_of_another_object_is_answered_once(cartpole: Run) -> None:
    asked: list[object] = []

    @cached(max_entries=4)
    def look(snapshot: object, target: object, k: int = 0) -> int:
        asked.append((snapshot, target, k))
        return len(asked)

    def again() -> Run:
        return engine.open_run(cartpole.path)

    first, later = again().snapshot(1), again().snapshot(2)
    seven, eight = (engine.action_target(first, record=record) for record in (7, 8))
    assert look(first, seven) == 1
    assert look(again().snapshot(1), engine.action_target(first, record=7), k=0) == 1
    assert look(first, eight) == 2
    assert look(later, seven) == 3
    assert look(first, seven, 1) == 4
    assert look(first, engine.return_target(first)) == 5
    assert len(asked) == 5
    look.clear()
    assert look(first, seven) == 6


def test_a_run_that_has_grown_is_asked_again(tmp_path: Path) -> None:
    @cached()
    def rounds(run: Run) -> int:
        return len(run.rounds)

    with RunWriter.create(tmp_path / "run", make_manifest()) as writer:
        writer.commit_round(make_snapshot(0), METRICS)
        run = engine.open_run(tmp_path / "run")
        assert rounds(run) == 1
        writer.commit_round(make_snapshot(1), METRICS)
        assert rounds(run) == 1
        run.refresh()
        assert rounds(run) == 2


def test_what_tells_answers_apart_can_be_said() -> None:
    asked: list[str] = []

    @cached(by=lambda text, count: (text.lower(), count % 2))
    def shout(text: str, count: int) -> str:
        asked.append(text)
        return text.upper()

    assert [shout("a", 1), shout("A", 3), shout("a", count=2), shout(text="a", count=4)] == ["A"] * 4
    assert asked == ["a", "a"]


def test_scores_and_arrays_are_told_apart_and_what_begins_with_an_underscore_is_not(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    scores = [engine.influence(snapshot, "return", name, cache=False) for name in ("first_order", "tracin")]

    @cached()
    def total(scores: object, records: np.ndarray, _bar: object) -> float:
        return float(scores.influence[records].sum())  # type: ignore[attr-defined]

    some, others = np.array([1, 2]), np.array([1, 3])
    found = {total(each, records, object()) for each in scores for records in (some, others)}
    assert len(found) == 4
    assert total(scores[0], some.copy(), None) == float(scores[0].influence[some].sum())
    assert total(scores[0], others, None) == float(scores[0].influence[others].sum())

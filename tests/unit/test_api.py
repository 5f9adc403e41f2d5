"""What a person in a notebook meets: a training that trains, objects that say in one line what they are."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import engine
from engine.analysis.films import film
from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.intervention.outcome import Outcome
from engine.store.documents import read_json
from engine.store.read import Run

LONGEST = 200
"""Characters of an object's line."""
SAMPLES = Path(__file__).resolve().parents[2] / "sample_runs"
SETTINGS = {"rounds": 2, "n_steps": 64, "batch_size": 32, "n_epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return engine.train(engine.preset("CartPole-v1", "default", **SETTINGS), tmp_path_factory.mktemp("api") / "run")


@pytest.fixture(scope="module")
def outcome(run: Run) -> Outcome:
    return engine.retrain(run, 0, [3, 5], run.path.parent / "branch", orders=2, episodes=4)


def assert_says(thing: object, begins: str, has: str) -> None:
    line = repr(thing)
    assert line.startswith(begins)
    assert has in line
    assert len(line) <= LONGEST
    assert line.isprintable(), "one line, and nothing that a terminal obeys"


def test_train_trains_at_the_call_and_gives_the_recorded_run(tmp_path: Path) -> None:
    steps = []
    config = engine.preset("CartPole-v1", "default", rounds=2, n_steps=32, batch_size=16, n_epochs=1)
    run = engine.train(config, tmp_path / "run", on_step=lambda: steps.append(1))
    assert len(steps) == 4, "two minibatches in each of two rounds"
    assert (run.stored_rounds, run.final is not None) == ([0, 1], True)
    assert run.head == engine.open_run(tmp_path / "run").head


def test_rounds_come_one_at_a_time_and_equal_the_recorded_ones(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=2, n_steps=32, batch_size=16, n_epochs=1)
    seen = []
    for snapshot in engine.rounds(config, tmp_path / "run"):
        assert engine.open_run(tmp_path / "run").stored_rounds == seen, "each is committed after its update"
        seen.append(snapshot.round)
    run = engine.open_run(tmp_path / "run")
    assert run.stored_rounds == seen == [0, 1]
    assert (run.snapshot(1).buffer.reward == snapshot.buffer.reward).all()


def test_iterating_a_run_says_what_to_use(run: Run) -> None:
    with pytest.raises(TypeError, match=r"run\.snapshot\(k\).*engine\.rounds\(config, out\)") as caught:
        list(run)
    assert len(str(caught.value).splitlines()) == 1


def test_an_outcome_says_by_attribute_and_by_name_what_the_file_does(outcome: Outcome) -> None:
    document = read_json(Path(outcome.run) / "result.json")
    assert document is not None
    assert isinstance(outcome, Mapping)
    assert outcome == document.values
    assert json.loads(json.dumps(outcome.to_json())) == document.values
    assert (outcome.records, outcome.removed, outcome.round) == (64, [3, 5], 0)
    assert (outcome.verdict, outcome.original.mean) == (outcome["verdict"], outcome["original"]["mean"])
    changed = [a - b for a, b in zip(outcome.order_means.counterfactual, outcome.order_means.original, strict=True)]
    assert outcome.difference.mean == pytest.approx(sum(changed) / 2)
    assert outcome.target.name == "return"
    assert outcome.curves is None
    assert "curves" not in outcome


def test_an_outcome_is_read_only(outcome: Outcome) -> None:
    with pytest.raises(TypeError):
        outcome["verdict"] = "helps"  # type: ignore[index]
    with pytest.raises(AttributeError):
        outcome.verdict = "helps"  # type: ignore[misc]


def test_objects_say_in_one_line_what_they_are(run: Run, outcome: Outcome) -> None:
    snapshot = run.snapshot(1)
    changed = snapshot.without([3, 5])
    here: dict[str, Any] = {"executor": "inline"}
    action = engine.action_target(snapshot, record=7)
    validation = engine.validate(run, round=1, subsets=3, orders=2, estimators=("first_order",), **here)
    said = {
        "Run('": (run, ": 2 rounds, CartPole-v1, seed 0)"),
        "ControlSnapshot(round 1 of '": (snapshot, ": 64 records)"),
        "ControlSnapshot(round 1, not committed": (changed, ": 64 records, 2 dropped)"),
        "RolloutBuffer(64 records, ": (snapshot.buffer, " episodes)"),
        "Scores(round 1, 64 records": (engine.influence(snapshot), ": influence on the return by first_order, "),
        "Replayed(ControlSnapshot(round 1, ": (engine.replay(changed), ": 64 records, 2 dropped), 2 optimizer steps)"),
        "ActionTarget(": (action, "1 pair of state and action, record 7)"),
        "ReturnTarget(": (engine.return_target(snapshot), "64 records)"),
        "Validation(round 1, return": (validation, ": 3 subsets of 50%, 2 orders; best first_order with LDS "),
        "Diagnosis(round 1": (engine.diagnose(run, round=1, rollouts=0, **here), " bottom records of 64, "),
        "Behaviour(3 checkpoints": (engine.behaviour(run, action), ", pi(a|s) 0."),
        "Outcome('": (outcome, f": {outcome.verdict}, return "),
    }
    for begins, (thing, has) in said.items():
        assert_says(thing, begins, has)


def test_parts_say_in_one_line_what_they_are(run: Run) -> None:
    snapshot = run.snapshot(1)
    kind = kind_of(snapshot)
    policy = kind.policy(snapshot)
    batch = kind.batch(snapshot, policy)
    found = engine.attribute(policy, batch, engine.return_target(snapshot), snapshot.config, by_layer=True)
    few: dict[str, Any] = {"subsets": 100, "orders": 1, "executor": "inline"}
    faithful = engine.validate(snapshot, **few).estimators["first_order"]
    many = engine.TargetName(target="action", about=tuple(range(2000)))
    said: dict[str, tuple[object, str]] = {
        "RoundInfo(round 1": (run.rounds[1], ")"),
        "RoundInfo(final checkpoint": (run.final, ")"),
        "[RoundInfo(round 0": (run.rounds, "RoundInfo(round 1)]"),
        "RunManifest(CartPole-v1": (run.manifest, "of the kind control, seed 0)"),
        "Film(": (film(run, 1, 3), " pictures, return "),
        "TargetName(target='action', about=(0, 1, ": (many, "...))"),
        "Question(target=TargetName(target='action', ": (engine.Question(target=many, estimator="tracin"), "'tracin'"),
        "Attribution(64 records, ": (found, " layers: "),
        "Batch(64 records": (batch, ")"),
        "Evaluation(64 records": (policy(batch.inputs, batch.action), ", with values)"),
        "Faithfulness(lds=": (faithful, "estimator='first_order'"),
        "Measurement(": (engine.Measurement(subsets=3, orders=2), "subsets=3"),
    }
    for begins, (thing, has) in said.items():
        assert_says(thing, begins, has)
    assert repr(engine.TargetName(about=(3, 7), target="action")) == "TargetName(target='action', about=(3, 7))"
    assert all(len(repr(trait)) <= LONGEST for trait in engine.diagnose(snapshot, rollouts=0).traits)


def test_objects_of_language_runs_say_in_one_line_what_they_are() -> None:
    run = engine.open_run(SAMPLES / "courtesy")
    snapshot = run.snapshot(0)
    n, tokens = f"{len(snapshot.buffer):,} records", f"{len(snapshot.buffer.token):,} tokens"
    assert_says(run, "Run('", f": {len(run.rounds)} rounds, ")
    assert_says(snapshot, "LanguageSnapshot(round 0 of '", f": {n})")
    assert_says(snapshot.without([4]), "LanguageSnapshot(round 0, not committed: ", f"{n}, 1 dropped)")
    assert_says(snapshot.buffer, "SequenceBuffer(", f"({n}, {tokens})")
    assert_says(engine.action_target(snapshot, record=7), "TokenTarget(action target, record 7, ", "1 sequence)")
    assert_says(engine.replay(snapshot), "Replayed(LanguageSnapshot(round 0 of '", " optimizer steps)")
    scores = engine.influence(snapshot, "return", cache=False)
    assert_says(scores, "Scores(round 0, ", ": influence on the return by first_order, ")
    assert len(scores) == len(snapshot.buffer)
    assert scores.to_arrow().column_names == ["record", "influence", "actor", "critic", "entropy", "token_influence"]


def test_a_line_stays_one_line_where_names_are_long_or_odd(run: Run, tmp_path: Path) -> None:
    odd = tmp_path / ("long " * 40 + "\n\x1b[31mred")
    shutil.copytree(run.path, odd)
    assert_says(engine.open_run(odd), "Run('", ": 2 rounds, ")
    assert_says(engine.open_run(odd).snapshot(0), "ControlSnapshot(round 0 of '", ": 64 records)")


def test_scores_name_the_records_at_their_ends(run: Run) -> None:
    scores = replace(engine.influence(run.snapshot(0)), influence=np.array([0, 2, -3, 2, 0, 5, -1], np.float32))
    assert len(scores) == 7
    assert scores.top(2).tolist() == [5, 1], "the lower number first among equals"
    assert scores.top(10).tolist() == [5, 1, 3], "only those that raised the target"
    assert scores.bottom(10).tolist() == [2, 6], "only those that lowered it"
    assert scores.top(0).tolist() == scores.bottom(0).tolist() == []
    with pytest.raises(BadInputError, match="-1 records were asked for"):
        scores.bottom(-1)


def test_scores_as_tables_say_where_they_came_from(run: Run) -> None:
    snapshot = run.snapshot(1)
    scores = engine.influence(snapshot, "return", by_layer=True)
    table, frame = scores.to_arrow(), scores.to_pandas()
    assert table.column("record").to_pylist() == list(range(64))
    np.testing.assert_array_equal(table.column("influence"), scores.influence)
    assert {"actor", "critic", "entropy", *(f"layer {name}" for name in scores.layers)} < set(table.column_names)
    origin = json.loads(table.schema.metadata[b"influence"])
    assert origin == {
        "round": 1,
        **scores.target,
        "estimator": "first_order",
        "orders": 1,
        "commit": snapshot.hash,
    }
    assert frame.attrs == origin
    assert pa.Table.from_pandas(frame, preserve_index=False).equals(table)


def test_without_pandas_there_is_a_line_that_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    scores = engine.influence(run.snapshot(0))
    with pytest.raises(BadInputError, match=r"pandas is not installed.*to_arrow\(\)"):
        scores.to_pandas()
    assert len(scores.to_arrow()) == 64

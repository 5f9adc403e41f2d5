"""What a person in a notebook meets: a training that trains, objects that say in one line what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import engine
from engine.intervention.outcome import Outcome
from engine.store.documents import read_json
from engine.store.read import Run

SETTINGS = {"rounds": 2, "n_steps": 64, "batch_size": 32, "n_epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return engine.train(engine.preset("CartPole-v1", **SETTINGS), tmp_path_factory.mktemp("api") / "run")


@pytest.fixture(scope="module")
def outcome(run: Run) -> Outcome:
    return engine.retrain(run, 0, [3, 5], run.path.parent / "branch", orders=2, episodes=4)


def test_train_trains_at_the_call_and_gives_the_recorded_run(tmp_path: Path) -> None:
    steps = []
    config = engine.preset("CartPole-v1", rounds=2, n_steps=32, batch_size=16, n_epochs=1)
    run = engine.train(config, tmp_path / "run", on_step=lambda: steps.append(1))
    assert len(steps) == 4, "two minibatches in each of two rounds"
    assert (run.stored_rounds, run.final is not None) == ([0, 1], True)
    assert run.head == engine.open_run(tmp_path / "run").head


def test_rounds_come_one_at_a_time_and_equal_the_recorded_ones(tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", rounds=2, n_steps=32, batch_size=16, n_epochs=1)
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

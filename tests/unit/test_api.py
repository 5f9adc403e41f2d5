"""What a person in a notebook meets: a training that trains, objects that say in one line what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine


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


def test_iterating_a_run_says_what_to_use(tmp_path: Path) -> None:
    run = engine.train(engine.preset("CartPole-v1", rounds=1, n_steps=32), tmp_path / "run")
    with pytest.raises(TypeError, match=r"run\.snapshot\(k\).*engine\.rounds\(config, out\)") as caught:
        list(run)
    assert len(str(caught.value).splitlines()) == 1

"""An interrupted and resumed run is the uninterrupted one, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worlds import record, same_tensors

import engine
from engine.errors import BadInputError, LockedRunError
from engine.store.read import Run

TIMES = {"collect_seconds", "update_seconds"}

CASES: dict[str, dict[str, Any]] = {
    "CartPole-v1": {"n_envs": 2, "n_steps": 64},
    "LunarLander-v3": {"n_steps": 128},
    "FrozenLake-v1-slippery": {"n_steps": 150},
    "Acrobot-v1": {"n_steps": 100, "n_envs": 2},
    "FrozenLake-v1": {"n_steps": 64, "n_envs": 3, "momentum": 0.9},
}


def assert_same_runs(found: Run, expected: Run) -> None:
    assert found.stored_rounds == expected.stored_rounds
    for k in expected.stored_rounds:
        one, other = found.snapshot(k), expected.snapshot(k)
        same_tensors(vars(one.buffer), vars(other.buffer))
        same_tensors(dict(one.checkpoint), dict(other.checkpoint))
        same_tensors({"minibatches": one.minibatches}, {"minibatches": other.minibatches})
        plain = [{name: value for name, value in s.metrics.items() if name not in TIMES} for s in (one, other)]
        assert plain[0] == plain[1]
    assert (found.final is None) == (expected.final is None)
    last = expected.checkpoint_rounds[-1]
    same_tensors(found.checkpoint(last), expected.checkpoint(last))


def interrupt_after(config: engine.TrainConfig, out: Path, rounds: int, resume: bool = False) -> None:
    """Let `rounds` rounds be committed, then stop in the middle of the next one."""
    snapshots = engine.rounds(config, out, resume=resume)
    for _ in range(rounds + 1):
        next(snapshots)
    snapshots.close()


@pytest.mark.parametrize("name", CASES)
def test_resumed_run_equals_the_uninterrupted_one(name: str, tmp_path: Path) -> None:
    settings = {**CASES[name], "rounds": 4, "n_epochs": 3, "batch_size": 32, "seed": 8}
    config = engine.preset(name, "v0.1", **settings)
    whole = record(tmp_path / "whole", name, **settings)
    interrupt_after(config, tmp_path / "parts", 2)
    assert engine.open_run(tmp_path / "parts").stored_rounds == [0, 1]
    interrupt_after(config, tmp_path / "parts", 1, resume=True)
    assert engine.open_run(tmp_path / "parts").stored_rounds == [0, 1, 2]
    assert_same_runs(engine.train(config, tmp_path / "parts", resume=True), whole)
    assert engine.verify_run(tmp_path / "parts") == []


def test_interrupted_in_the_first_round(tmp_path: Path, cartpole: Run) -> None:
    interrupt_after(cartpole.config, tmp_path / "parts", 0)
    assert engine.open_run(tmp_path / "parts").stored_rounds == []
    assert_same_runs(engine.train(cartpole.config, tmp_path / "parts", resume=True), cartpole)


def test_interrupted_within_the_update(tmp_path: Path, cartpole: Run) -> None:
    """`on_step` raises, as Ctrl-C does: the round in flight is not there, the earlier ones are."""
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.train(cartpole.config, tmp_path / "parts", on_step=stop)
    assert engine.open_run(tmp_path / "parts").stored_rounds == [0]
    assert_same_runs(engine.train(cartpole.config, tmp_path / "parts", resume=True), cartpole)


def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path: Path, cartpole: Run) -> None:
    assert_same_runs(engine.train(cartpole.config, tmp_path / "again"), cartpole)
    other = engine.TrainConfig.from_json({**cartpole.config.to_json(), "seed": 1, "rounds": 1})
    snapshot = engine.train(other, tmp_path / "other").snapshot(0)
    assert (snapshot.buffer.observation != cartpole.snapshot(0).buffer.observation).any()


def test_resuming_a_finished_run_does_nothing(tmp_path: Path, cartpole: Run) -> None:
    head = engine.train(cartpole.config, tmp_path / "run").head
    assert list(engine.rounds(cartpole.config, tmp_path / "run", resume=True)) == []
    assert engine.train(cartpole.config, tmp_path / "run", resume=True).head == head


def test_resuming_with_other_settings_is_refused_by_name(cartpole: Run) -> None:
    other = engine.TrainConfig.from_json({**cartpole.config.to_json(), "gamma": 0.5})
    with pytest.raises(BadInputError, match=r"started with gamma=0.99, not 0.5"):
        engine.train(other, cartpole.path, resume=True)


def test_training_over_a_run_is_refused(cartpole: Run) -> None:
    with pytest.raises(BadInputError, match="holds a run already; continue it with --resume"):
        engine.train(cartpole.config, cartpole.path)


def test_a_second_writer_is_refused(tmp_path: Path, cartpole: Run) -> None:
    snapshots = engine.rounds(cartpole.config, tmp_path / "run")
    next(snapshots)
    with pytest.raises(LockedRunError, match="being written by another process"):
        engine.train(cartpole.config, tmp_path / "run", resume=True)
    next(snapshots)
    assert engine.open_run(tmp_path / "run").stored_rounds == [0], "a reader sees what is committed so far"
    snapshots.close()


def test_an_unknown_environment_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="unknown environment 'Cartpole'"):
        engine.train(engine.TrainConfig(env_id="Cartpole"), tmp_path / "run")
    assert not (tmp_path / "run").exists()

"""Replaying a stored round gives the next stored checkpoint, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import record, same_tensors

import engine
from engine.store.read import Run

RUNS: dict[str, dict[str, Any]] = {
    "LunarLander-v3": {"rounds": 3, "n_steps": 256},
    "FrozenLake-v1": {"rounds": 3, "n_steps": 256},
    "CartPole-v1": {"rounds": 3, "n_steps": 70, "n_envs": 2, "batch_size": 32, "n_epochs": 4, "target_kl": 1e-4},
    "Acrobot-v1": {"rounds": 2, "n_steps": 128, "optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-2},
    "FrozenLake-v1-slippery": {"rounds": 2, "n_steps": 64, "n_envs": 3, "normalize_advantage": False, "ent_coef": 0.1},
}


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record(tmp_path_factory.mktemp("exact") / "run", request.param, **RUNS[request.param])


def learnt(checkpoint: Any) -> dict[str, np.ndarray]:
    return {name: tensor for name, tensor in checkpoint.items() if name.startswith(("parameter/", "optimizer/"))}


def test_every_round_replays_to_the_next_checkpoint(run: Run) -> None:
    assert run.checkpoint_rounds == [*run.stored_rounds, run.stored_rounds[-1] + 1]
    for k in run.stored_rounds:
        before, after = learnt(run.checkpoint(k)), learnt(run.checkpoint(k + 1))
        assert any(not np.array_equal(before[name], after[name]) for name in before), "the update must move theta"
        same_tensors(engine.replay(run.snapshot(k)).checkpoint, after)


def test_replay_reports_the_metrics_that_training_reported(run: Run) -> None:
    snapshot = run.snapshot(1)
    found = vars(engine.replay(snapshot).metrics)
    assert found == {name: pytest.approx(snapshot.metrics[name], nan_ok=True) for name in found}


def test_the_optimizer_state_is_part_of_it(run: Run) -> None:
    names = learnt(run.checkpoint(1))
    states = {name.split("/")[1] for name in names if name.startswith("optimizer/")}
    if run.config.optimizer == "adam":
        assert states == {"exp_avg", "exp_avg_sq", "step"}
    else:
        assert states == ({"momentum_buffer"} if run.config.momentum else set())


def test_target_kl_stops_an_update_early_and_still_replays(tmp_path: Path) -> None:
    settings = RUNS["CartPole-v1"]
    run = record(tmp_path / "run", "CartPole-v1", **settings)
    planned = settings["n_epochs"] * -(-run.config.records_per_round // run.config.batch_size)
    steps = [info.metrics["steps"] for info in run.rounds]
    assert all(0 < taken < planned for taken in steps), steps
    assert engine.replay(run.snapshot(0)).metrics.steps == steps[0]

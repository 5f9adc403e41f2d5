"""A fall in the metrics of every kind of run, and none where nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toy_kind import ToySettings

import engine
from engine.config import TrainConfig
from engine.store.commit import RunWriter
from engine.store.read import Run

ROOT = Path(engine.__file__).parents[1]
RECORDED = {
    "control": ROOT / "tests" / "pins" / "data" / "control-v1" / "run",
    "recorded": ROOT / "sample_runs" / "CliffWalking-v1",
    "language PPO": ROOT / "tests" / "pins" / "data" / "language-v3-ppo" / "run",
    "language GRPO": ROOT / "tests" / "pins" / "data" / "language-v3-grpo" / "run",
}
FALL, AT = 9, 6
METRICS = {"episodes": 8, "std_return": 20.0, "entropy": 0.6, "approx_kl": 0.01}


def source(kind: str, folder: Path) -> Run:
    if kind in RECORDED:
        return engine.open_run(RECORDED[kind])
    config = TrainConfig(env_id="bandit", rounds=1, n_steps=48, batch_size=16, path="torch")
    return engine.train(ToySettings(config), folder / "source")


def with_returns(run: Run, path: Path, returns: list[float]) -> Run:
    """Its first round again and again, with these mean returns."""
    snapshot = run.snapshot(run.stored_rounds[0])
    with RunWriter.create(path, run.manifest, model=run.model_files()) as writer:
        for k, mean in enumerate(returns):
            writer.commit_round(replace(snapshot, round=k), METRICS | {"mean_return": mean})
    return engine.open_run(path)


@pytest.mark.parametrize("kind", [*RECORDED, "toy"])
def test_a_fall_is_named_with_its_update_and_nothing_else_is(tmp_path: Path, kind: str) -> None:
    run = source(kind, tmp_path)
    (found,) = engine.incidents(with_returns(run, tmp_path / "fell", [200.0] * AT + [20.0] * (FALL - AT)), records=True)
    assert (found.onset, found.update) == (AT, AT - 1)
    assert "fell from 200 to 20" in found.reason
    assert list(engine.incidents(with_returns(run, tmp_path / "flat", [200.0] * FALL), records=True)) == []

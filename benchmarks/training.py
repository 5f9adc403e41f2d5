"""Training LunarLander with one environment: what recording costs, and against plain Stable-Baselines3."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import engine
from benchmarks.timing import Figure, alternate, ratio
from engine.config import TrainConfig
from engine.envs import find
from engine.learning.training import train
from engine.store.commit import RunWriter
from engine.store.snapshot import Snapshot

ROUNDS = 4
RECORDED, TORCH, THEIRS = "training, recorded", "the same on the torch path", "plain Stable-Baselines3, not recorded"


def figures(quick: bool = False) -> Iterator[Figure]:
    """Steps a second of `ROUNDS` rounds of 2048 steps, 10 epochs, minibatch 64."""
    config = engine.preset("LunarLander-v3", "default", rounds=ROUNDS)
    through_torch = replace(config, path="torch")
    committing: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        runs = iter(range(1000))
        ways = {
            RECORDED: lambda: committing.append(_recorded(config, Path(folder) / str(next(runs)))),
            TORCH: lambda: _recorded(through_torch, Path(folder) / str(next(runs))),
            THEIRS: lambda: _theirs(config),
        }
        times = alternate(ways, repeats=2 if quick else 5)
    steps = config.records_per_round * ROUNDS
    for name, seconds in times.items():
        speeds = [steps / s for s in seconds]
        faster = ratio(times, THEIRS, name)
        target = "" if name == THEIRS else ">= 1.5x"
        yield Figure(name, statistics.median(speeds), max(speeds), "steps/s", faster, "Stable-Baselines3", target)
    shares = [100 * a / b for a, b in zip(committing[-len(times[RECORDED]) :], times[RECORDED], strict=True)]
    yield Figure(
        "commits, of the recorded training's time", statistics.median(shares), min(shares), "%", target="<= 5 %"
    )


def _recorded(config: TrainConfig, out: Path) -> float:
    """Train and record; returns the seconds that the commits took of it."""
    seconds = 0.0
    commit_round = RunWriter.commit_round

    def timed(writer: RunWriter, snapshot: Snapshot, metrics: Mapping[str, Any]) -> str:
        nonlocal seconds
        start = time.perf_counter()
        try:
            return commit_round(writer, snapshot, metrics)
        finally:
            seconds += time.perf_counter() - start

    with patch.object(RunWriter, "commit_round", timed):
        for _ in train(config, out):
            pass
    return seconds


def _theirs(config: TrainConfig) -> None:
    from stable_baselines3 import PPO

    theirs = PPO(
        "MlpPolicy",
        find(config.env_id).make(),
        learning_rate=config.learning_rate,
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        seed=config.seed,
        device="cpu",
    )
    theirs.learn(config.records_per_round * config.rounds)

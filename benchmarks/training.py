"""Training LunarLander with one environment: what recording costs, and against plain Stable-Baselines3."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import engine
from benchmarks.timing import Figure, alternate, ratio
from engine.config import TrainConfig
from engine.envs import find
from engine.learning.training import Learner, train

ROUNDS = 2
RECORDED, PLAIN, THEIRS = "training, recorded", "the same without recording", "plain Stable-Baselines3"


def figures(quick: bool = False) -> Iterator[Figure]:
    """Steps a second of `ROUNDS` rounds of 2048 steps, 10 epochs, minibatch 64."""
    config = engine.preset("LunarLander-v3", "default", rounds=ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        runs = iter(range(1000))
        ways = {
            RECORDED: lambda: _recorded(config, Path(folder) / str(next(runs))),
            PLAIN: lambda: _plain(config),
            THEIRS: lambda: _theirs(config),
        }
        times = alternate(ways, repeats=2 if quick else 5)
    steps = config.records_per_round * ROUNDS
    for name, seconds in times.items():
        speeds = [steps / s for s in seconds]
        faster = ratio(times, THEIRS, name)
        target = ">= 1.5x" if name == RECORDED else ""
        yield Figure(name, statistics.median(speeds), max(speeds), "steps/s", faster, "Stable-Baselines3", target)
    overhead = [100 * (a - b) / b for a, b in zip(times[RECORDED], times[PLAIN], strict=True)]
    yield Figure("recording, of the training time", statistics.median(overhead), min(overhead), "%")


def _recorded(config: TrainConfig, out: Path) -> None:
    for _ in train(config, out):
        pass


def _plain(config: TrainConfig) -> None:
    learner = Learner.begin(config)
    for _ in range(config.rounds):
        learner.update(learner.collect())


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

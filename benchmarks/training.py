"""Training LunarLander with one environment: what recording costs, and against plain Stable-Baselines3."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from unittest.mock import patch

import engine
from benchmarks.timing import Figure, alternate, milliseconds, ratio
from engine.config import TrainConfig
from engine.core.replays.replay import replay
from engine.core.training import rounds
from engine.envs import find
from engine.kinds.control.filtering import make_filter
from engine.kinds.control.learner import ControlLearner
from engine.store.commit import RunWriter
from engine.store.snapshot import Snapshot

if TYPE_CHECKING:
    from stable_baselines3 import PPO

ROUNDS = 4
RECORDED, TORCH, THEIRS = "training, recorded", "the same on the torch path", "plain Stable-Baselines3, not recorded"
UPDATE, THEIR_UPDATE = "one update, 2048 records, 10 epochs", "Stable-Baselines3's"
ROUND = "a round, collected and updated on"
FILTERS: dict[Literal["iif", "guarded"], str] = {"iif": "what IIF adds to it", "guarded": "what guarded IIF adds to it"}


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
        target = {RECORDED: ">= 7x", TORCH: ">= 1.5x", THEIRS: ""}[name]
        yield Figure(name, statistics.median(speeds), max(speeds), "steps/s", faster, "Stable-Baselines3", target)
    shares = [100 * a / b for a, b in zip(committing[-len(times[RECORDED]) :], times[RECORDED], strict=True)]
    yield Figure(
        "commits, of the recorded training's time", statistics.median(shares), min(shares), "%", target="<= 5 %"
    )
    yield from _updates(config, repeats=3 if quick else 9)
    yield from _filters(config, repeats=3 if quick else 9)


def _updates(config: TrainConfig, repeats: int) -> Iterator[Figure]:
    """One update of 2048 records, 10 epochs, minibatch 64."""
    snapshot, model = ControlLearner.begin(config).collect(), _model(config)
    model.learn(config.records_per_round)
    times = alternate({UPDATE: lambda: replay(snapshot), THEIR_UPDATE: model.train}, repeats)
    yield milliseconds(UPDATE, times[UPDATE], ratio=ratio(times, THEIR_UPDATE, UPDATE), against=THEIRS, target=">= 8x")
    yield milliseconds(THEIR_UPDATE, times[THEIR_UPDATE])


def _filters(config: TrainConfig, repeats: int) -> Iterator[Figure]:
    """What a filter computes before it drops anything, beside a round without one."""
    learner = ControlLearner.begin(config)
    learner.update(learner.collect())
    snapshot = learner.collect()

    def round_without() -> None:
        learner.update(learner.collect())

    chosen = {name: make_filter(replace(config, filter=name)) for name in FILTERS}
    ways: dict[str, Callable[[], object]] = {
        name: partial(choose, snapshot) for name, choose in chosen.items() if choose is not None
    }
    times = alternate({ROUND: round_without, **ways}, repeats)
    yield milliseconds(ROUND, times[ROUND])
    for name, title in FILTERS.items():
        target = "<= 0.10x" if name == "iif" else ""
        yield milliseconds(title, times[name], ratio=ratio(times, name, ROUND), against=ROUND, target=target)


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
        for _ in rounds(config, out):
            pass
    return seconds


def _theirs(config: TrainConfig) -> None:
    _model(config).learn(config.records_per_round * config.rounds)


def _model(config: TrainConfig) -> PPO:
    from stable_baselines3 import PPO

    return PPO(
        "MlpPolicy",
        find(config.env_id).make(),
        learning_rate=config.learning_rate,
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        seed=config.seed,
        device="cpu",
    )

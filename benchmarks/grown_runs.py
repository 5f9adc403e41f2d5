"""Made-up runs of any length and rounds of any size, written in moments: what is measured is how long they take to read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import uuid4

import numpy as np

import engine
from engine.core.objective import draw_minibatches
from engine.kinds.control.learner import ControlLearner
from engine.store import Files, RunWriter, open_run
from engine.store.chain import commit_name

P = ParamSpec("P")
T = TypeVar("T")
SMALL = {"hidden": (16, 16), "n_envs": 1, "n_steps": 64, "batch_size": 32, "n_epochs": 2}
"""Settings of a round that is soon looked at: it is the number of rounds that counts."""


class Unsynced(Files):
    """Forces nothing to the disk: for runs that are made to be thrown away."""

    def call(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One system call, or none where it waits for the disk."""
        return operation(*args, **kwargs) if operation is not os.fsync else None  # type: ignore[return-value]


def make_long(path: Path, rounds: int) -> Path:
    """A run of CartPole that keeps the records of all its rounds, which are copies of one; it can be resumed."""
    config = engine.preset("CartPole-v1", "default", rounds=10**6, **SMALL)
    learner = ControlLearner.begin(config)
    snapshot = learner.collect()
    metrics = {**snapshot.metrics, **learner.update(snapshot)}
    with RunWriter.create(path, learner.manifest(), Unsynced()) as writer:
        writer.commit_round(snapshot, metrics)
    lengthen(path, rounds - 1)
    return path


def lengthen(path: Path, rounds: int) -> None:
    """So many more rounds, with files of their own: copies of the first one's. Their returns rise and fall."""
    run = open_run(path, indexed=True)
    first, previous, start = run.commits[0], run.head, len(run.commits)
    content = {file.name: (path / "data" / file.name).read_bytes() for file in first.files}
    rng = np.random.default_rng(start)
    for k in range(start, start + rounds):
        files = tuple(replace(file, name=f"{k:06d}-{file.kind}-{uuid4().hex}.parquet") for file in first.files)
        for file, like in zip(files, first.files, strict=True):
            (path / "data" / file.name).write_bytes(content[like.name])
        metrics = {**first.metrics, "mean_return": 100 + 50 * np.sin(k / 40) + float(rng.normal(0, 5))}
        commit = replace(first, round=k, files=files, previous=previous, metrics=metrics)
        (path / "commits" / commit_name(k)).write_bytes(commit.to_bytes())
        previous = commit.hash


def make_large(path: Path, records: int) -> Path:
    """A run of one round of so many records, which are those of a small one over and over."""
    settings = SMALL | {"hidden": (64, 64), "n_steps": 1000, "batch_size": 1000, "n_epochs": 1}
    learner = ControlLearner.begin(engine.preset("CartPole-v1", "default", rounds=1, **settings))
    small = learner.collect()
    config = replace(small.config, n_steps=records)
    again = np.arange(records) % len(small.buffer)
    columns = {name: column[again] for name, column in vars(small.buffer).items()}
    buffer = replace(small.buffer, **{**columns, "t": np.arange(records, dtype=np.int32)})
    minibatches = draw_minibatches(np.random.default_rng(0), records, config.n_epochs)
    snapshot = small.changed(config=config, buffer=buffer, minibatches=minibatches)
    with RunWriter.create(path, replace(learner.manifest(), config=config), Unsynced()) as writer:
        writer.commit_round(snapshot, small.metrics)
    return path

"""Runs with a fault in one round."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import engine
from engine.config import TrainConfig
from engine.experiments.faultlab.plants import PLANTS
from engine.kinds.control.learner import ControlLearner
from engine.store.commit import RunWriter
from engine.store.read import Run

ROUND = 5


def planted_run(path: Path, plant: str, strength: float, config: TrainConfig, k: int = ROUND) -> Run:
    """Train, with a fault in round k."""
    learner, rng = ControlLearner.begin(config), np.random.default_rng(7)
    with RunWriter.create(path, learner.manifest(), model=learner.model) as writer:
        while learner.round < config.rounds:
            if learner.round == k:
                snapshot, metrics = PLANTS[plant].train(learner, strength, rng)
            else:
                snapshot = learner.collect()
                metrics = learner.update(snapshot)
            writer.commit_round(snapshot, {**snapshot.metrics, **metrics})
        writer.commit_final(learner.round, learner.state())
    return engine.open_run(path)

"""Small recorded runs whose metrics are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.made_up_rounds import make_manifest, make_snapshot
from engine.store import RunWriter

HEALTHY = {"episodes": 8, "mean_return": 200.0, "std_return": 20.0, "entropy": 0.6, "approx_kl": 0.01}


def write(
    path: Path,
    rounds: Sequence[dict[str, Any]],
    broken: Sequence[int] = (),
    reward: Callable[[int], float] = lambda k: 1.0,
) -> Path:
    """A run with these metrics and a reward a round; in the rounds `broken` those of records 4 and 7 are no numbers."""
    with RunWriter.create(path, make_manifest()) as writer:
        for k, metrics in enumerate(rounds):
            snapshot = make_snapshot(k, n=32)
            n = len(snapshot.buffer)
            ones = {name: np.ones(n, np.float32) for name in ("value", "log_prob", "advantage", "returns")}
            rewards = np.full(n, reward(k), np.float32)
            if k in broken:
                rewards[[4, 7]] = np.nan
            observation = np.ones_like(snapshot.buffer.observation)
            buffer = replace(snapshot.buffer, reward=rewards, observation=observation, **ones)
            zeros = {
                name: np.zeros_like(tensor) for name, tensor in snapshot.checkpoint.items()
            }  # of random bits not all are finite
            writer.commit_round(replace(snapshot, buffer=buffer, checkpoint=zeros), HEALTHY | metrics)
    return path

"""Monte Carlo advantages on all cores: every record of a FrozenLake round, and 200 records of LunarLander."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import engine
from benchmarks.timing import Figure
from engine.analysis.rollout_advantages import monte_carlo

RUNS = Path(__file__).parents[1] / "sample_runs"


def figures(quick: bool = False) -> Iterator[Figure]:
    """An early round and, unless quick, a later one of each, with the start of the workers; nothing is cached."""
    plans = (
        ("FrozenLake-v1", (5, 0), 2048, 32, "<= 20 s"),
        ("LunarLander-v3", (5, 53), 200, 16, "<= 60 s"),
    )
    for name, rounds, records, rollouts, target in plans:
        for number in rounds[: 1 if quick else None]:
            snapshot = engine.open_run(RUNS / name).snapshot(number).changed()
            chosen = np.linspace(0, len(snapshot.buffer) - 1, records).astype(np.int64)
            start = time.perf_counter()
            monte_carlo(snapshot, chosen, rollouts)
            seconds = time.perf_counter() - start
            what = f"{name}, round {number}: {records} records x {rollouts} rollouts"
            yield Figure(what, seconds, seconds, "s", target=target)

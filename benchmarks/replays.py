"""Replays of an update of 2048 records without half of them, as `validate` makes them, against the update alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import numpy as np

import engine
from benchmarks.timing import Figure, alternate, milliseconds, ratio
from engine.attribution.replays import Replay, Task, random_removals, run_replays
from engine.attribution.targets import return_target
from engine.learning.agents import restore_agent
from engine.learning.replay import intervene
from engine.learning.training import Learner

COUNT = 8


def figures(quick: bool = False) -> Iterator[Figure]:
    """Eight replays of ten epochs in minibatches of 64, the return target evaluated after each."""
    learner = Learner.begin(engine.preset("LunarLander-v3", "default"))
    learner.update(learner.collect())
    snapshot = learner.collect()
    removed = random_removals(snapshot, 0.5, COUNT)
    replays = [Replay(row, q) for q, row in enumerate(removed)]
    changed = [intervene(snapshot, np.flatnonzero(each.removed), order=each.order) for each in replays]
    task = Task(0, [], snapshot, [return_target(snapshot)], replays)
    spent: list[float] = []

    def update() -> None:
        for each in changed:
            agent = restore_agent(
                snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint
            )
            agent.update(each.buffer, each.minibatches)

    def replay() -> None:
        start = time.process_time()
        run_replays(task)
        spent.append((time.process_time() - start) / COUNT)

    times = alternate({"update": update, "replay": replay}, repeats=3 if quick else 10)
    each = {name: [seconds / COUNT for seconds in values] for name, values in times.items()}
    yield milliseconds("update without half", each["update"])
    against = ratio(times, "replay", "update")
    yield milliseconds("replay without half", each["replay"], ratio=against, against="the update", target="<= 1.1x")
    yield Figure("replays a second of CPU", 1 / statistics.median(spent), 1 / min(spent), "1/s", target=">= 10")

"""Replays of an update of 2048 records without half of them, as `validate` makes them.

One after another against the update alone, and many at once on the device that is here (a CUDA device, else the CPU, with
one thread) against one after another.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

import engine
from benchmarks.timing import Figure, alternate, milliseconds, ratio
from engine.core.draws import random_removals
from engine.core.replays.many import Replay, ReplayTask, run_replays
from engine.core.replays.replay import intervene
from engine.core.targets.of_records import return_target
from engine.kinds.control.agents import restore_agent
from engine.kinds.control.batched_replays import OnCuda, batched_values
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.snapshot import ControlSnapshot

COUNT = 8
BATCH = {"cpu": 16, "cuda": 1024}
"""Replays that are made at once, or in as few batches as fit the device."""


def figures(quick: bool = False) -> Iterator[Figure]:
    """Replays of ten epochs in minibatches of 64, the return target evaluated after each."""
    learner = ControlLearner.begin(engine.preset("LunarLander-v3", "default"))
    learner.update(learner.collect())
    snapshot = learner.collect()
    removed = random_removals(snapshot, 0.5, COUNT)
    replays = [Replay(row, q) for q, row in enumerate(removed)]
    changed = [intervene(snapshot, np.flatnonzero(each.removed), order=each.order) for each in replays]
    replay_all = partial(run_replays, snapshot, [return_target(snapshot)], ReplayTask(0, [], replays))
    spent: list[float] = []

    def update() -> None:
        for each in changed:
            agent = restore_agent(
                snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint
            )
            agent.update(each.buffer, each.minibatches)

    def replay() -> None:
        start = time.process_time()
        replay_all()
        spent.append((time.process_time() - start) / COUNT)

    times = alternate({"update": update, "replay": replay}, repeats=3 if quick else 10)
    each = {name: [seconds / COUNT for seconds in values] for name, values in times.items()}
    yield milliseconds("update without half", each["update"])
    against = ratio(times, "replay", "update")
    yield milliseconds("replay without half", each["replay"], ratio=against, against="the update", target="<= 1.1x")
    yield Figure("replays a second of CPU", 1 / statistics.median(spent), 1 / min(spent), "1/s", target=">= 10")
    yield from _batched(snapshot, replay_all, quick)


def _batched(snapshot: ControlSnapshot, replay_all: Callable[[], object], quick: bool) -> Iterator[Figure]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = BATCH[device.type]
    size = OnCuda(snapshot).size(count) if device.type == "cuda" else count
    removed, targets = random_removals(snapshot, 0.5, count), [return_target(snapshot)]

    def batched() -> None:
        for start in range(0, count, size):
            part = removed[start : start + size]
            batched_values(snapshot, targets, part, [q % COUNT for q in range(len(part))], device)

    times = alternate({"batched": batched, "one by one": replay_all}, repeats=3 if quick else 10)
    rates = {name: [n / seconds for seconds in times[name]] for name, n in (("batched", count), ("one by one", COUNT))}
    faster = statistics.median(a / b for a, b in zip(rates["batched"], rates["one by one"], strict=True))
    what = f"replays a second, batched on {device.type}"
    rate = statistics.median(rates["batched"])
    target = ">= 500" if device.type == "cuda" else ""
    yield Figure(what, rate, max(rates["batched"]), "1/s", faster, "one by one on one core", target)

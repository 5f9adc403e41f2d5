"""Many real replays of one update: which records to remove, in which minibatch orders, and what became of the targets.

A replay is named by its snapshot, the records it went without and its order. What was replayed once is kept in the run's
`derived/` and never replayed again: not after an interruption, nor by a plan with more subsets or orders. What a CUDA
device replayed, to rounding, is kept apart from the exact replays of the CPU.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread
from engine.core.kind import kind_of
from engine.core.replays.replay import check_replayable, replay
from engine.core.targets.functions import Described, Target
from engine.executors import INLINE, Pool, Progress
from engine.store.derived import kept_columns, load_table, update_table
from engine.store.snapshot import Snapshot

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

REPLAYS_VERSION = 1
"""Part of every key; raise it whenever a replay's outcome changes."""
CHUNK = 8
"""Replays of a task: half a second of work with the default settings."""


@dataclass(frozen=True, eq=False)
class Replay:
    """Which records go, and the minibatch order."""

    removed: Bools
    """(n,) True where the record is removed."""
    order: int
    """0 is the recorded one."""

    @property
    def key(self) -> tuple[str, int]:
        """What names it among the replays of a snapshot."""
        return removal_name(self.removed), self.order


def with_nothing_removed(removed: Bools) -> Bools:
    """(m, n) -> (1 + m, n): the whole buffer first, against which the others are measured."""
    return np.concatenate([np.zeros_like(removed[:1]), removed])


def grid(removed: Bools, orders: int) -> list[Replay]:
    """Each of m subsets in each of the first Q orders: (m, n) -> m * Q replays, those of one subset together.

    Order q is the same permutation for every subset, so that differences are paired.
    """
    return [Replay(row, q) for row in removed for q in range(orders)]


def replays(
    snapshot: Snapshot,
    targets: Sequence[Target],
    removed: Bools,
    orders: int,
    *,
    pool: Pool = INLINE,
    device: str = "cpu",
    report: Progress = lambda doing, done, total: None,
) -> Floats:
    """`outcomes_of` a `grid` of replays, each of m subsets (m, n) in each of the first Q orders: (targets, m, Q)."""
    found = outcomes_of(snapshot, targets, grid(removed, orders), pool=pool, device=device, report=report)
    return found.reshape(len(targets), len(removed), orders)


def outcomes_of(
    snapshot: Snapshot,
    targets: Sequence[Target],
    wanted: Sequence[Replay],
    *,
    pool: Pool = INLINE,
    device: str = "cpu",
    report: Progress = lambda doing, done, total: None,
    doing: str = "replaying the update",
) -> Floats:
    """Really replay the update (mode `mask`) as wanted, and evaluate f(theta(k+1)).

    What is finished is kept at once (not for a snapshot that is not committed): the same call continues after an interruption.

    Args:
        snapshot: round k.
        targets: f, one or more.
        wanted: R replays.
        pool: where replays are done; `processes` needs a main module that can be imported again.
        device: `cpu` replays exactly; `cuda` replays hundreds at a time in this process, to rounding, and has no use for a
            pool. Its outcomes are kept apart.
        report: told the replays that are done, of how many; raise from it to cancel.
        doing: what it is told beside them.

    Returns:
        (targets, R) values of f.

    Raises:
        BadInputError: as `replay.check_replayable`.
    """
    check_replayable(snapshot, device)
    results = [ReplayResults(snapshot, target, device) for target in targets]
    keys = [each.key for each in wanted]
    missing = {
        key: each for key, each in zip(keys, wanted, strict=True) if any(key not in result.values for result in results)
    }
    total = len(set(keys))
    done = total - len(missing)
    report(doing, done, total)
    exact = device == "cpu" or not missing
    size = CHUNK if exact else kind_of(snapshot).batched(snapshot).size(len(missing))
    named = [*missing]
    tasks = [
        ReplayTask(i, named[i : i + size], [missing[key] for key in named[i : i + size]])
        for i in range(0, len(named), size)
    ]
    where, how = (pool, run_replays) if exact else (INLINE, run_on_cuda)
    finished = where.run(partial(how, snapshot, targets), tasks)
    for task, outcomes in finished if tasks else ():
        for result, values in zip(results, outcomes.T, strict=True):
            result.add(task.keys, values)
        done += len(task.keys)
        report(doing, done, total)
    return np.array([[result.values[key] for key in keys] for result in results])


def replay_seconds(snapshot: Snapshot) -> float:
    """Wall time of one replay here: the faster of two."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        replay(snapshot)
        times.append(time.perf_counter() - start)
    return min(times)


def finished_replays(
    snapshot: Snapshot, target: Described, wanted: Sequence[Replay], device: str = "cpu"
) -> tuple[int, int]:
    """How many of the replays that `outcomes_of` would be asked for are kept, and how many they are."""
    asked = {each.key for each in wanted}
    return len(asked & ReplayResults(snapshot, target, device).values.keys()), len(asked)


@dataclass(frozen=True, eq=False)
class ReplayTask:
    """Some of the replays of a snapshot."""

    start: int
    keys: Sequence[tuple[str, int]]
    replays: Sequence[Replay]

    def __str__(self) -> str:
        return f"replays {self.start + 1} to {self.start + len(self.replays)}"


def run_replays(snapshot: Snapshot, targets: Sequence[Target], task: ReplayTask) -> Floats:
    """(replays, targets) values of f(theta(k+1))."""
    one_thread()
    values = np.empty((len(task.replays), len(targets)))
    for row, each in zip(values, task.replays, strict=True):
        policy = replay(snapshot, np.flatnonzero(each.removed), order=each.order).policy
        with torch.no_grad():
            row[:] = [float(target.value(policy)) for target in targets]
    return values


def run_on_cuda(snapshot: Snapshot, targets: Sequence[Target], task: ReplayTask) -> Floats:
    """As `run_replays`, all at once and to rounding."""
    removed, orders = np.stack([each.removed for each in task.replays]), [each.order for each in task.replays]
    return kind_of(snapshot).batched(snapshot).values(targets, removed, orders)


class ReplayResults:
    """The value of one target after every replay of a snapshot that was ever made on a kind of device."""

    def __init__(self, snapshot: Snapshot, target: Described, device: str = "cpu") -> None:
        question = {"replays": REPLAYS_VERSION, "snapshot": snapshot.hash, "target": target.describe()}
        question |= {} if device == "cpu" else {"device": device}
        text = json.dumps(question, sort_keys=True)
        self.key, self.question = hashlib.sha256(text.encode()).hexdigest(), text
        self.path = snapshot.path if snapshot.hash else None
        table = None if self.path is None else load_table(self.path, self.key)
        self.values = _outcomes(table)

    def add(self, keys: Sequence[tuple[str, int]], values: Floats) -> None:
        """Keep the outcomes of some replays, on the disk too, beside those that another process kept there."""
        self.values |= zip(keys, values.tolist(), strict=True)
        if self.path is not None:
            update_table(self.path, self.key, self._beside, {"replays": self.question})

    def _beside(self, kept: pa.Table | None) -> pa.Table:
        self.values = _outcomes(kept) | self.values
        removed, orders = zip(*self.values, strict=True)
        columns = {"removed": removed, "order": pa.array(orders, pa.int32()), "value": list(self.values.values())}
        return pa.table(columns)


def _outcomes(table: pa.Table | None) -> dict[tuple[str, int], float]:
    types = {"removed": pa.string(), "order": pa.int32(), "value": pa.float64()}
    columns = None if table is None else kept_columns(table, types)
    if columns is None:
        return {}
    removed, orders, values = (columns[name].tolist() for name in types)
    return dict(zip(zip(removed, orders, strict=True), values, strict=True))


def removal_name(removed: Bools) -> str:
    """Sixteen hexadecimal digits; equal removals have equal names."""
    return hashlib.sha256(np.packbits(removed).tobytes()).hexdigest()[:16]

"""Many real replays of one update: which records to remove, in which minibatch orders, and what became of the targets.

A replay is named by its snapshot, the records it went without and its order. What was replayed once is kept in the run's
`derived/` and never replayed again: not after an interruption, nor by a plan with more subsets or orders. What a CUDA
device replayed, to rounding, is kept apart from the exact replays of the CPU.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread, restore_policy
from engine.core.replay import check_replayable, intervene, replay
from engine.core.targets import Described
from engine.errors import BadInputError
from engine.executors import run_tasks
from engine.kinds.control.agents import restore_agent
from engine.kinds.control.batched_replays import batch_size, batched_values, check_device
from engine.store.derived import kept_columns, load_table, update_table
from engine.store.snapshot import Snapshot

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total); raise from it to cancel."""

REPLAYS_VERSION = 1
"""Part of every key; raise it whenever a replay's outcome changes."""
CHUNK = 8
"""Replays of a task: half a second of work with the default settings."""
VALIDATION_SEED, TRAINING_SEED = 3, 4
"""Name two lists of subsets among what a run's seed draws: to measure estimators on, and to fit one to."""


def subsets(rng: np.random.Generator, n: int, fraction: float, m: int) -> Bools:
    """Random subsets of round(fraction * n) of n records, m of them: (m, n), True where the record is to be removed.

    The first subsets of a longer list are those of a shorter one.

    Raises:
        BadInputError: the fraction is not between 0 and 1, a subset would be empty or everything, or there are not m
            different ones.
    """
    k = removed_count(n, fraction)
    if math.comb(n, k) < m:
        raise BadInputError(
            f"there are only {math.comb(n, k)} subsets of {k} of {n} records; ask for no more than that"
        )
    removed = np.zeros((m, n), bool)
    for row in removed:
        row[rng.permutation(n)[:k]] = True
    return removed


def removed_count(n: int, fraction: float) -> int:
    """How many of n records a subset removes; errors as `subsets`."""
    if not 0 < fraction < 1:
        raise BadInputError(f"fraction is {fraction:g}; it must be above 0 and below 1, such as 0.5")
    k = round(fraction * n)
    if not 0 < k < n:
        nothing = "none" if k == 0 else "all"
        raise BadInputError(f"a fraction of {fraction:g} removes {nothing} of {n} records; choose one from {1 / n:.2g}")
    return k


def random_removals(snapshot: Snapshot, fraction: float, m: int, seed: int = VALIDATION_SEED) -> Bools:
    """(m, n) random subsets of the records that the round's update used; errors as `subsets`."""
    kept = np.flatnonzero(snapshot.buffer.kept)
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, seed])
    removed = np.zeros((m, len(snapshot.buffer)), bool)
    removed[:, kept] = subsets(rng, len(kept), fraction, m)
    return removed


def extreme_removals(snapshot: Snapshot, influence: NDArray[np.floating], fraction: float, m: int) -> Bools:
    """(m, n): leave out the k most helpful records, and the k most harmful ones, for m / 2 sizes k up to the fraction.

    Rows alternate between top and bottom, from small to large.

    Raises:
        BadInputError: as `subsets`, or there are not so many sizes.
    """
    kept = np.flatnonzero(snapshot.buffer.kept)
    largest, sizes = removed_count(len(kept), fraction), (m + 1) // 2
    if sizes > largest:
        raise BadInputError(
            f"{m} subsets of the extremes need {sizes} sizes, and a fraction of {fraction:g} of {len(kept)} records has "
            f"only {largest}; ask for at most {2 * largest} subsets"
        )
    best_first = kept[np.argsort(-influence[kept], kind="stable")]
    removed = np.zeros((m, len(snapshot.buffer)), bool)
    for i, row in enumerate(removed):
        k = round(largest * (i // 2 + 1) / sizes)
        row[best_first[:k] if i % 2 == 0 else best_first[-k:]] = True
    return removed


def replays(
    snapshot: Snapshot,
    targets: Sequence[Described],
    removed: Bools,
    orders: int,
    *,
    run: Callable[[Task], Floats] | None = None,
    executor: str = "inline",
    workers: int | None = None,
    device: str = "cpu",
    report: Progress = lambda doing, done, total: None,
    doing: str = "replaying the update",
) -> Floats:
    """Really replay the update (mode `mask`) without each subset, in each order, and evaluate f(theta(k+1)).

    Order q is the same permutation for every subset, so that differences are paired. What is finished is kept at once
    (not for a snapshot that is not committed): the same call continues after an interruption.

    Args:
        snapshot: round k.
        targets: f, one or more.
        removed: (m, n), True where the record is removed; an empty row removes nothing.
        orders: Q; order 0 is the recorded one.
        run: what replays a task, a function of a module; by default `run_replays`.
        executor: as `executors.run_tasks` has it; `processes` needs a main module that can be imported again.
        workers: processes at a time.
        device: `cpu` replays exactly; `cuda` replays hundreds at a time in this process, to rounding (see `batched`), and
            has no use for executor and workers. Its outcomes are kept apart.
        report: told the replays that are done, of how many; raise from it to cancel.
        doing: what it is told beside them.

    Returns:
        (targets, m, orders) values of f.

    Raises:
        BadInputError: the round was recorded without its minibatches, or as `batched.check_device`.
    """
    check_device(snapshot, device)
    check_replayable(snapshot)
    run = run or run_replays
    ledgers = [Ledger(snapshot, target, device) for target in targets]
    names = [removal_name(row) for row in removed]
    missing = {
        (name, q): Replay(row, q)
        for name, row in zip(names, removed, strict=True)
        for q in range(orders)
        if any((name, q) not in ledger.values for ledger in ledgers)
    }
    total = len(set(names)) * orders
    done = total - len(missing)
    report(doing, done, total)
    keys = list(missing)
    size = batch_size(cast(Snapshot, snapshot), len(keys)) if device == "cuda" and keys else CHUNK
    tasks = [
        Task(i, keys[i : i + size], snapshot, targets, [missing[key] for key in keys[i : i + size]])
        for i in range(0, len(keys), size)
    ]
    ways = (run, executor) if device == "cpu" else (run_on_cuda, "inline")
    for task, outcomes in run_tasks(ways[0], tasks, ways[1], workers) if tasks else ():
        for ledger, values in zip(ledgers, outcomes.T, strict=True):
            ledger.add(task.keys, values)
        done += len(task.keys)
        report(doing, done, total)
    return np.array([[[ledger.values[name, q] for q in range(orders)] for name in names] for ledger in ledgers])


def replay_seconds(snapshot: Snapshot, replay: Callable[..., object] = replay) -> float:
    """Wall time of one replay here: the faster of two."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        replay(snapshot)
        times.append(time.perf_counter() - start)
    return min(times)


def finished_replays(
    snapshot: Snapshot, target: Described, removed: Bools, orders: int, device: str = "cpu"
) -> tuple[int, int]:
    """How many of the replays that `replays` would be asked for are kept, and how many they are."""
    values = Ledger(snapshot, target, device).values
    asked = {(removal_name(row), q) for row in removed for q in range(orders)}
    return len(asked & values.keys()), len(asked)


@dataclass(frozen=True, eq=False)
class Replay:
    """Which records go, and the minibatch order."""

    removed: Bools
    order: int


@dataclass(frozen=True, eq=False)
class Task:
    """Some replays, with all that a worker needs for them."""

    start: int
    keys: Sequence[tuple[str, int]]
    snapshot: Any
    """Of the kind that the task's function replays, and so are the targets."""
    targets: Sequence[Any]
    replays: Sequence[Replay]

    def __str__(self) -> str:
        return f"replays {self.start + 1} to {self.start + len(self.replays)}"


def run_replays(task: Task) -> Floats:
    """(replays, targets) values of f(theta(k+1))."""
    one_thread()
    snapshot = task.snapshot
    learner = (snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    policy = restore_policy(*learner)
    values = np.empty((len(task.replays), len(task.targets)))
    for row, each in zip(values, task.replays, strict=True):
        changed = intervene(snapshot, np.flatnonzero(each.removed), order=each.order)
        agent = restore_agent(*learner)
        agent.update(changed.buffer, changed.minibatches)
        policy.load(parameters_of(agent.tensors()))
        with torch.no_grad():
            row[:] = [float(target.value(policy)) for target in task.targets]
    return values


def run_on_cuda(task: Task) -> Floats:
    """As `run_replays`, all at once and to rounding."""
    removed, orders = np.stack([each.removed for each in task.replays]), [each.order for each in task.replays]
    return batched_values(task.snapshot, task.targets, removed, orders, torch.device("cuda"))


class Ledger:
    """The value of one target after every replay of a snapshot that was ever made on a kind of device."""

    def __init__(self, snapshot: Snapshot, target: Described, device: str = "cpu") -> None:
        about = {"replays": REPLAYS_VERSION, "snapshot": snapshot.hash, "target": target.describe()}
        about |= {} if device == "cpu" else {"device": device}
        text = json.dumps(about, sort_keys=True)
        self.key, self.about = hashlib.sha256(text.encode()).hexdigest(), text
        self.path = snapshot.path if snapshot.hash else None
        table = None if self.path is None else load_table(self.path, self.key)
        self.values = _outcomes(table)

    def add(self, keys: Sequence[tuple[str, int]], values: Floats) -> None:
        """Take down the outcomes of some replays, on the disk too, beside those that another process took down there."""
        self.values |= zip(keys, values.tolist(), strict=True)
        if self.path is not None:
            update_table(self.path, self.key, self._beside, {"replays": self.about})

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


def parameters_of(tensors: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """`parameter/<name>` of a checkpoint by state_dict name."""
    prefix = "parameter/"
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

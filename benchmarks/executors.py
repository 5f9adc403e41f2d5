"""What the executors cost: until the first task is done, for each task, and tasks a second of small replays, on all cores."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import engine
from benchmarks.timing import Figure
from engine.core.draws import random_removals
from engine.core.replays.many import Replay, ReplayTask, run_replays
from engine.core.targets.of_records import return_target
from engine.executors import EXECUTORS, Pool

RUNS = Path(__file__).parents[1] / "sample_runs"
EMPTY = 2000
"""Tasks that do nothing."""


def figures(quick: bool = False) -> Iterator[Figure]:
    """The executors side by side; results travel back, and those of Ray are counted with the start of a cluster here."""
    there = [name for name in EXECUTORS if name != "ray" or find_spec("ray") is not None]
    repeats = 1 if quick else 3
    begun = {name: _seconds(name, nothing, range(1), repeats) for name in there}
    for name, seconds in begun.items():
        yield Figure(f"{name}: until the first task is done", statistics.median(seconds), min(seconds), "s")
    for name in there:
        start = statistics.median(begun[name])
        each = [1e3 * max(0.0, seconds - start) / EMPTY for seconds in _seconds(name, nothing, range(EMPTY), repeats)]
        yield Figure(f"{name}: a task that does nothing", statistics.median(each), min(each), "ms")
    for run, number, counts in (("FrozenLake-v1", 3, (100, 1000)), ("LunarLander-v3", 5, (100,))):
        for count in counts[: 1 if quick else None]:
            yield from _replays(run, number, count, there, repeats)


def _replays(run: str, number: int, count: int, there: Sequence[str], repeats: int) -> Iterator[Figure]:
    """One replay a task, without half of the records."""
    snapshot = engine.open_run(RUNS / run).snapshot(number)
    replays = [Replay(row, q) for q, row in enumerate(random_removals(snapshot, 0.5, count))]
    tasks = [ReplayTask(i, [], [each]) for i, each in enumerate(replays)]
    times = {
        name: _seconds(name, partial(run_replays, snapshot, [return_target(snapshot)]), tasks, repeats)
        for name in there
    }
    for name, seconds in times.items():
        rates = [count / each for each in seconds]
        faster = statistics.median(times["inline"]) / statistics.median(seconds)
        what = f"{name}: {count} replays of {run}, start and all"
        yield Figure(what, statistics.median(rates), max(rates), "1/s", faster, "inline")


def _seconds(name: str, function: Callable[[Any], Any], tasks: Sequence[Any], repeats: int) -> list[float]:
    """Until the last result is there."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        assert len(list(Pool(name).run(function, tasks))) == len(tasks)
        found.append(time.perf_counter() - start)
    return found


def nothing(task: Any) -> None:
    """A task without work."""

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

RUN = Path(__file__).parents[1] / "sample_runs" / "LunarLander-v3"
COUNT = 100
EMPTY = 2000
"""Tasks that do nothing."""


def figures(quick: bool = False) -> Iterator[Figure]:
    """The executors side by side; one that starts on Ray starts a cluster here."""
    there = [name for name in EXECUTORS if name != "ray" or find_spec("ray") is not None]
    repeats = 1 if quick else 3
    empty = {name: [_timed(name, nothing, range(EMPTY)) for _ in range(repeats)] for name in there}
    for name, each in empty.items():
        starts = [first for first, _ in each]
        yield Figure(f"{name}: until the first task is done", statistics.median(starts), min(starts), "s")
    for name, each in empty.items():
        later = [1e3 * rest / (EMPTY - 1) for _, rest in each]
        yield Figure(f"{name}: each further task that does nothing", statistics.median(later), min(later), "ms")
    for epochs in (1, 10)[: 1 if quick else None]:
        yield from _replays(epochs, there, repeats)


def _replays(epochs: int, there: Sequence[str], repeats: int) -> Iterator[Figure]:
    """One replay a task, without half of the records, of an update of so many epochs."""
    snapshot = engine.open_run(RUN).snapshot(5)
    snapshot = snapshot.changed(minibatches=snapshot.minibatches[:epochs])
    tasks = [ReplayTask(i, [], [Replay(row, 0)]) for i, row in enumerate(random_removals(snapshot, 0.5, COUNT))]
    replay = partial(run_replays, snapshot, [return_target(snapshot)])
    times = {name: [_timed(name, replay, tasks) for _ in range(repeats)] for name in there}
    alone = statistics.median(sum(each) for each in times["inline"])
    what = f"replays of {epochs} epoch{'s' * (epochs > 1)} a second"
    for name, each in times.items():
        later = [(COUNT - 1) / rest for _, rest in each]
        yield Figure(f"{name}: {what}, once it has begun", statistics.median(later), max(later), "1/s")
        all_in_all = [COUNT / sum(both) for both in each]
        faster = alone * statistics.median(all_in_all) / COUNT
        yield Figure(
            f"{name}: {what}, {COUNT} in all", statistics.median(all_in_all), max(all_in_all), "1/s", faster, "inline"
        )


def _timed(name: str, function: Callable[[Any], Any], tasks: Sequence[Any]) -> tuple[float, float]:
    """Seconds until the first result is there, and from then on until the last one is."""
    start = time.perf_counter()
    results = Pool(name).run(function, tasks)
    next(results)
    first = time.perf_counter()
    left = sum(1 for _ in results)
    assert left == len(tasks) - 1
    return first - start, time.perf_counter() - first


def nothing(task: Any) -> None:
    """A task without work."""

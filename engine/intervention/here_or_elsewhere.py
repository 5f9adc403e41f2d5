"""Tasks of an intervention, here or in other processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from engine.executors import Pool
from engine.intervention.plan import ProgressMeter

T = TypeVar("T")
R = TypeVar("R")


def done(
    tasks: Sequence[T],
    here: Callable[[T, ProgressMeter], R],
    elsewhere: Callable[[T], R],
    pool: Pool,
    meter: ProgressMeter,
    *,
    doing: str,
    finished: Callable[[T], None],
) -> list[R]:
    """What is made of each task; the same wherever it is made.

    Args:
        tasks: what is to be done.
        here: does one in this process, and tells the meter how far it is.
        elsewhere: does one in another process.
        pool: where.
        meter: told of the progress.
        doing: what others do meanwhile, in words.
        finished: tells the meter of a task that another process has done.
    """
    if pool.executor == "inline":
        return [here(task, meter) for task in tasks]
    meter.say(doing)
    found = {}
    for task, made in pool.run(elsewhere, tasks):
        found[task] = made
        finished(task)
    return [found[task] for task in tasks]

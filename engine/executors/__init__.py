"""Run tasks that don't need each other: here, in a process pool, or on a Ray cluster."""

from engine.executors.pool import (
    EXECUTORS,
    INLINE,
    POOL_SECONDS,
    PROCESSES,
    Pool,
    add_options,
    check_executor,
    feed_tasks,
    run_tasks,
)
from engine.executors.processes import default_workers, why_no_processes
from engine.executors.tasks import Progress

__all__ = [
    "EXECUTORS",
    "INLINE",
    "POOL_SECONDS",
    "PROCESSES",
    "Pool",
    "Progress",
    "add_options",
    "check_executor",
    "default_workers",
    "feed_tasks",
    "run_tasks",
    "why_no_processes",
]

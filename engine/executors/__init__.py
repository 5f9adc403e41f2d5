"""Run tasks that don't need each other: here, in a process pool, or on a Ray cluster."""

from engine.executors.pool import (
    EXECUTORS,
    INLINE,
    PROCESSES,
    Pool,
    check_executor,
    feed_tasks,
    run_tasks,
)
from engine.executors.processes import default_workers, why_no_processes
from engine.executors.tasks import Progress

__all__ = [
    "EXECUTORS",
    "INLINE",
    "PROCESSES",
    "Pool",
    "Progress",
    "check_executor",
    "default_workers",
    "feed_tasks",
    "run_tasks",
    "why_no_processes",
]

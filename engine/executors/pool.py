"""Run tasks that don't need each other: here, in a process pool, or on a Ray cluster."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

from engine.errors import BadInputError, EngineError
from engine.executors.on_ray import on_ray
from engine.executors.processes import default_workers, in_processes
from engine.executors.tasks import Next, Outcomes

T = TypeVar("T")
R = TypeVar("R")

POOL_SECONDS = 4.0
"""Until the workers of a pool have begun."""
WORTH_A_POOL = 12.0
"""Seconds of work from which on other processes take part in it."""


def inline(function: Callable[[Any], Any], following: Next[Any], workers: int | None, count: int | None) -> Outcomes:
    """One after the other, in this process; see `STARTS`."""
    while (task := following()) is not None:
        yield task, partial(function, task)


STARTS: Mapping[str, Callable[[Callable[[Any], Any], Next[Any], int | None, int | None], Outcomes]] = {
    "inline": inline,
    "processes": in_processes,
    "ray": on_ray,
}
"""Executor -> what hands out the tasks. It is told the function, what gives the next task, how many are done at a time (None:
it knows itself) and how many tasks there are (None: that is not known, since what comes next may depend on what is finished)."""
EXECUTORS = tuple(STARTS)


def check_executor(executor: str, workers: int | None) -> None:
    """Whether `run_tasks` could begin.

    Raises:
        BadInputError: unknown executor, fewer than one worker, or Ray is not installed.
    """
    if executor not in EXECUTORS:
        raise BadInputError(f"the executor is {executor!r}; it must be one of {', '.join(EXECUTORS)}")
    if workers is not None and workers < 1:
        raise BadInputError(f"the number of workers is {workers}; it must be at least 1")
    if executor == "ray" and find_spec("ray") is None:
        raise BadInputError("Ray is not installed; install it with: pip install 'snapshot-influence[ray]'")


@dataclass(frozen=True)
class Pool:
    """Where tasks are run that don't need each other.

    >>> Pool("processes", workers=2)
    Pool(executor='processes', workers=2)
    >>> list(Pool("inline").run(len, ["one", "three"]))
    [('one', 3), ('three', 5)]
    """

    executor: str = "processes"
    """`inline`, `processes` or `ray`."""
    workers: int | None = None
    """Tasks at a time; by default one a core, of the machine or of the Ray cluster."""

    @property
    def options(self) -> tuple[str, ...]:
        """What differs from the defaults, for the command line of a worker.

        >>> Pool("ray", 4).options, Pool().options
        (('--executor', 'ray', '--workers', '4'), ())
        """
        executor = () if self.executor == Pool.executor else ("--executor", self.executor)
        return executor if self.workers is None else (*executor, "--workers", str(self.workers))

    def check(self) -> None:
        """Refuse what can't begin; errors as `check_executor`."""
        check_executor(self.executor, self.workers)

    @property
    def at_a_time(self) -> int:
        """Tasks that go on side by side, on a cluster at least."""
        return 1 if self.executor == "inline" else self.workers or default_workers()

    def seconds(self, work: float) -> float:
        """How long tasks take here that take so many seconds one after the other."""
        return work if self.executor == "inline" else POOL_SECONDS + work / self.at_a_time

    def worth(self, work: float) -> Pool:
        """Itself for long work; this process for what is done before others have begun.

        >>> Pool("processes", workers=4).worth(3.0)
        Pool(executor='inline', workers=None)
        """
        many = self.executor == "ray" or self.at_a_time > 1
        return self if many and work >= WORTH_A_POOL else INLINE

    def run(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R]]:
        """`run_tasks` here."""
        return run_tasks(function, tasks, self.executor, self.workers)

    def feed(self, function: Callable[[T], R], following: Next[T]) -> Iterator[tuple[T, R]]:
        """`feed_tasks` here."""
        return feed_tasks(function, following, self.executor, self.workers)


INLINE, PROCESSES = Pool("inline"), Pool()


def add_options(parser: ArgumentParser) -> None:
    """Let a command line that is not the engine's say a pool: `executor` and `workers`."""
    parser.add_argument("--executor", default=Pool.executor, help="where tasks are done: inline, processes or ray")
    parser.add_argument("--workers", type=int, metavar="N", help="tasks at a time; by default one a core")


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    executor: str = "inline",
    workers: int | None = None,
) -> Iterator[tuple[T, R]]:
    """Call `function` on every task.

    A task that fails does not stop the others: its error is raised once all the rest has been yielded, so that hours of
    work are not lost to one bad task. Where the consumer stops early (Ctrl-C, an error of its own, `close`), the workers
    are ended at once, also in the middle of a task. Workers of a parent that was killed end themselves. On Ray, the tasks of a
    worker or a node that is lost are done again by others.

    Args:
        function: a module's own function, or a `partial` of one, bound to what all tasks have in common: on Ray that travels to
            each node once. It sets its thread limits itself. It and the tasks travel to other processes.
        tasks: their `str` names them in messages.
        executor: `inline` (one after another, here), `processes` (a pool on this machine) or `ray`.
        workers: tasks at a time; by default one a core, of a Ray cluster (`RAY_ADDRESS`) if there is one. `inline` ignores it.

    Yields:
        Task and result, in the order in which they are finished.

    Raises:
        BadInputError: as `check_executor`.
        EngineError: a task failed with one; the message begins with the task's name. Any other error of a task is
            raised as it is, with a note that names the task.
    """
    check_executor(executor, workers)
    left = iter(tasks)
    return _outcomes(function, lambda: next(left, None), executor, workers, len(tasks))


def feed_tasks(
    function: Callable[[T], R], following: Next[T], executor: str = "inline", workers: int | None = None
) -> Iterator[tuple[T, R]]:
    """`run_tasks` of tasks that are told one by one, each when there is somebody to do it.

    >>> numbers = iter([1, 2, 3])
    >>> list(feed_tasks(str, lambda: next(numbers, None)))
    [(1, '1'), (2, '2'), (3, '3')]

    Args:
        function: as `run_tasks`.
        following: is asked whenever a worker is free, after the consumer has seen all that is finished, so that what comes next
            may depend on it. The work ends where it has nothing and nothing is waited for.
        executor: as `run_tasks`.
        workers: as `run_tasks`.

    Yields:
        As `run_tasks`. Errors are the same.
    """
    check_executor(executor, workers)
    return _outcomes(function, following, executor, workers, None)


def _outcomes(
    function: Callable[[T], R], following: Next[T], executor: str, workers: int | None, count: int | None
) -> Iterator[tuple[T, R]]:
    """What `run_tasks` yields; the arguments are those of `STARTS`."""
    failed: list[tuple[T, Exception]] = []
    outcomes = STARTS[executor](function, following, workers, count)
    asked = 0
    try:
        for task, outcome in outcomes:
            asked += 1
            try:
                result = outcome()
            except BrokenProcessPool:
                raise EngineError(
                    f"a worker process died while {task} was waited for (killed, or out of memory); try fewer workers"
                ) from None
            except Exception as error:  # noqa: BLE001  it is raised below
                failed.append((task, error))
                continue
            yield task, result
    finally:
        outcomes.close()
    if failed:
        task, first = failed[0]
        others = f" ({len(failed) - 1} more of {asked} tasks failed)" if len(failed) > 1 else ""
        if isinstance(first, EngineError):
            raise EngineError(f"{task}: {first}{others}") from first
        first.add_note(f"in the task {task}{others}")
        raise first

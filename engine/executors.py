"""Run tasks that don't need each other: here, in a process pool, or on a Ray cluster."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing import active_children, get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from engine.allowed import Allowed, allow_as, allowed
from engine.errors import BadInputError, EngineError

EXECUTORS = ("inline", "processes", "ray")
Progress = Callable[[str, int, int], None]
"""Called with (what is being done, or was done last; done; total) by long work; raise from it to cancel."""

IMPORTED_ONCE = ["engine.core.replays.many", "engine.kinds.control.kind"]
"""By the process that workers on this machine are copies of."""

T = TypeVar("T")
R = TypeVar("R")
Next = Callable[[], T | None]
"""Gives the next task each time that it is called; None: there is none before another one is finished, or none at all."""
Outcomes = Generator[tuple[Any, Callable[[], Any]], None, None]
"""Tasks as they are finished, each with a function that gives its result or raises what the task raised."""


def default_workers() -> int:
    """As many as there are cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def why_no_processes() -> str:
    """Why this program can't have worker processes, which import it again; empty where it can.

    It can't where it is a script that comes from no file, or one that would do its work again when it is imported.
    """
    main = sys.modules["__main__"]
    path, loader = getattr(main, "__file__", None), getattr(main, "__loader__", None)
    is_module = getattr(main, "__spec__", None) is not None
    if path is None or loader is None or is_module:  # a notebook, a page of Streamlit or a module: none is run again
        return ""
    try:
        source = Path(path).read_bytes()
    except OSError:
        source = b""
    if b"__main__" in source:
        return ""
    return (
        "worker processes import this program again, so it must be a file whose work stands under "
        'if __name__ == "__main__": (or choose the executor inline)'
    )


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
    """Tasks at a time; by default one a core."""

    def check(self) -> None:
        """Refuse what can't begin; errors as `check_executor`."""
        check_executor(self.executor, self.workers)

    @property
    def at_a_time(self) -> int:
        """Tasks that go on side by side, on a cluster at least."""
        return 1 if self.executor == "inline" else self.workers or default_workers()

    def run(self, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[T, R]]:
        """`run_tasks` here."""
        return run_tasks(function, tasks, self.executor, self.workers)

    def feed(self, function: Callable[[T], R], following: Next[T]) -> Iterator[tuple[T, R]]:
        """`feed_tasks` here."""
        return feed_tasks(function, following, self.executor, self.workers)


INLINE, PROCESSES = Pool("inline"), Pool()


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    executor: str = "inline",
    workers: int | None = None,
) -> Iterator[tuple[T, R]]:
    """Call `function` on every task.

    A task that fails does not stop the others: its error is raised once all the rest has been yielded, so that hours of
    work are not lost to one bad task. Where the consumer stops early (Ctrl-C, an error of its own, `close`), the workers
    are ended at once, also in the middle of a task. Workers of a parent that was killed end themselves.

    Args:
        function: a module's own function; it sets its thread limits itself. It and the tasks travel to other processes.
        tasks: their `str` names them in messages.
        executor: `inline` (one after another, here), `processes` (a pool on this machine) or `ray`.
        workers: tasks at a time; by default one a core. `inline` ignores it. A Ray cluster (`RAY_ADDRESS`) knows its own.

    Yields:
        Task and result, in the order in which they are finished.

    Raises:
        BadInputError: as `check_executor`.
        EngineError: a task failed with one; the message begins with the task's name. Any other error of a task is
            raised as it is, with a note that names the task.
    """
    check_executor(executor, workers)
    left = iter(tasks)
    at_a_time = min(workers or default_workers(), len(tasks) or 1)
    return _outcomes(function, lambda: next(left, None), executor, at_a_time, len(tasks))


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
    at_a_time = workers or default_workers()
    return _outcomes(function, following, executor, at_a_time, at_a_time)


def _outcomes(
    function: Callable[[T], R], following: Next[T], executor: str, workers: int, ahead: int
) -> Iterator[tuple[T, R]]:
    """What `run_tasks` yields, where `ahead` tasks are handed over before one is finished."""
    start = {"inline": _inline, "processes": _in_processes, "ray": _on_ray}[executor]
    failed: list[tuple[T, Exception]] = []
    outcomes = start(function, following, workers, ahead)
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


def _inline(function: Callable[[Any], Any], following: Next[Any], _workers: int, _ahead: int) -> Outcomes:
    while (task := following()) is not None:
        yield task, partial(function, task)


def _in_processes(function: Callable[[Any], Any], following: Next[Any], workers: int, ahead: int) -> Outcomes:
    task = following()
    if task is None:
        return
    if why := why_no_processes():
        raise BadInputError(why)
    others = set(active_children())
    pool = ProcessPoolExecutor(workers, _context(), initializer=_begin_worker, initargs=(allowed(),))
    waiting: dict[Future[Any], Any] = {}
    try:
        waiting[pool.submit(function, task)] = task
        while True:
            while len(waiting) < ahead and (task := following()) is not None:
                waiting[pool.submit(function, task)] = task
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result
    except BaseException:  # also where the consumer stops: a running task would be waited for
        for process in set(active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> BaseContext:
    """How workers begin: as copies of one process that has imported what takes long, where there is such a thing; else anew."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    return context


def _begin_worker(given: Allowed) -> None:
    """Leave Ctrl-C to the parent, end with it, and load what it may load."""
    allow_as(given)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _on_ray(function: Callable[[Any], Any], following: Next[Any], workers: int, ahead: int) -> Outcomes:
    import ray

    given = allowed()

    def within(task: Any) -> Any:
        allow_as(given)
        return function(task)

    def result(reference: Any) -> Any:
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    own = not ray.is_initialized()
    if own:
        ray.init(num_cpus=None if "RAY_ADDRESS" in os.environ else workers, log_to_driver=False)
    try:
        remote = ray.remote(num_cpus=1, max_retries=0)(within)
        waiting: dict[Any, Any] = {}
        while True:
            while len(waiting) < ahead and (task := following()) is not None:
                waiting[remote.remote(task)] = task
            if not waiting:
                return
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(done), partial(result, done)
    finally:
        if own:
            ray.shutdown()

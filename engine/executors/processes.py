"""Tasks in a pool of processes on this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import active_children, get_all_start_methods, get_context, parent_process
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

from engine.allowed import Allowed, allow_as, allowed
from engine.errors import BadInputError
from engine.executors.tasks import Next, Outcomes

IMPORTED_ONCE = ["engine.core.replays.many", "engine.kinds.control.kind"]
"""By the process that workers on this machine are copies of."""


def default_workers() -> int:
    """As many as there are cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def in_processes(
    function: Callable[[Any], Any], following: Next[Any], workers: int | None, count: int | None
) -> Outcomes:
    """See `pool.STARTS`."""
    task = following()
    if task is None:
        return
    if why := why_no_processes():
        raise BadInputError(why)
    at_a_time = workers or default_workers()
    ahead = at_a_time if count is None else count
    others = set(active_children())
    pool = ProcessPoolExecutor(min(at_a_time, ahead), _context(), initializer=_begin_worker, initargs=(allowed(),))
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

"""Tasks on a Ray cluster: the one that `RAY_ADDRESS` names, else one of this machine alone, which ends with the tasks.

To hand something out takes milliseconds, and what all tasks have in common may be large. So tasks go in batches, and the function
goes to each node once, with what it is bound to. Where a worker or its node is lost, its batch is done again.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from engine.allowed import Allowed, allow_as, allowed
from engine.errors import BadInputError, EngineError
from engine.executors.batches import MOST_LOST, Batch, Batches
from engine.executors.processes import default_workers
from engine.executors.tasks import Next, Outcomes

ADDRESS = "RAY_ADDRESS"
"""The environment variable that names a cluster which is there."""
CONNECT_SECONDS = 10.0
ROOT = Path(__file__).resolve().parents[2]
"""Where `engine` lies."""


def on_ray(function: Callable[[Any], Any], following: Next[Any], workers: int | None, count: int | None) -> Outcomes:
    """See `pool.STARTS`. On a cluster that is there already, by default as many tasks go on as it has cores."""
    import ray

    if count == 0:
        return
    batches = Batches(following, count)
    with _cluster(min(workers or default_workers(), count or default_workers())):
        shared, begin = [ray.put(function)], ray.remote(num_cpus=1, max_retries=0)(do_batch)
        waiting: dict[Any, Batch] = {}
        try:
            while True:
                at_a_time = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
                while len(waiting) < at_a_time and (batch := batches.next(at_a_time)) is not None:
                    waiting[begin.remote(shared, batch.tasks, allowed(), Path.cwd())] = batch
                if not waiting:
                    return
                (reference,), _ = ray.wait(list(waiting), num_returns=1)
                batch = waiting.pop(reference)
                for task, done in zip(batch.tasks, _done(reference, batch, batches), strict=False):
                    yield task, done.outcome
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)


class Done(NamedTuple):
    """What became of a task."""

    result: Any = None
    error: Exception | None = None
    told: str = ""
    """Where in the worker it failed."""
    seconds: float = 0.0

    def outcome(self) -> Any:
        """The result, or what the task raised."""
        if self.error is None:
            return self.result
        raise self.error from (WorkerError(self.told) if self.told else None)


class WorkerError(Exception):
    """What a worker says of an error, for the traceback."""


def do_batch(function: Sequence[Any], tasks: Sequence[Any], given: Allowed, folder: Path) -> list[Done]:
    """Call a function on some tasks, in a worker.

    Args:
        function: a reference to it, in a list, so that it is not read before the worker may import what it needs.
        tasks: done one after the other.
        given: what the worker may load and import.
        folder: where whoever asks stands; the worker goes there, if there is such a folder on its machine.
    """
    allow_as(given)
    with suppress(OSError):
        os.chdir(folder)
    call = _read(*function)
    return [_called(call, task) for task in tasks]


@lru_cache(maxsize=1)
def _read(reference: Any) -> Callable[[Any], Any]:
    import ray

    found: Callable[[Any], Any] = ray.get(reference)
    return found


def _called(function: Callable[[Any], Any], task: Any) -> Done:
    start = time.perf_counter()
    try:
        result = function(task)
    except Exception as error:  # noqa: BLE001  whoever asked for the task raises it
        return Done(error=error, told="".join(traceback.format_exception(error)))
    return Done(result, seconds=time.perf_counter() - start)


def _done(reference: Any, batch: Batch, batches: Batches) -> Sequence[Done]:
    """What became of a batch's tasks; nothing where they are done again."""
    import ray

    try:
        found: list[Done] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # before the first task
        return [Done(error=error.cause, told=str(error))] * len(batch.tasks)
    except ray.exceptions.RayError as error:
        if batches.lost(batch):
            return ()
        why = str(error).partition("\n")[0]
        return [Done(error=EngineError(f"its worker was lost {MOST_LOST} times ({why}); it may need more memory"))]
    batches.took([each.seconds for each in found if each.error is None])
    return found


@contextmanager
def _cluster(workers: int) -> Iterator[None]:
    """Be on a cluster: the one that this program is on already, the one that is named, or an own one with so many workers.

    Raises:
        BadInputError: the one that is named can't be reached.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    address = os.environ.get(ADDRESS)
    if address:
        _check_that_it_answers(address)
    own: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
    with chdir(ROOT):  # workers would import from the working directory first, which may hold received runs
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    try:
        yield
    finally:
        ray.shutdown()


def _check_that_it_answers(address: str) -> None:
    """Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()) or "//" in host:  # `auto`, or by way of Ray's client
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInputError(
            f"the Ray cluster {ADDRESS}={address} can't be reached ({why}); start it, or unset {ADDRESS}"
        ) from None

"""Tasks on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from engine.allowed import allow_as, allowed
from engine.executors.processes import default_workers
from engine.executors.tasks import Next, Outcomes


def on_ray(function: Callable[[Any], Any], following: Next[Any], workers: int | None, count: int | None) -> Outcomes:
    """See `pool.STARTS`."""
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

    at_a_time = workers or default_workers()
    ahead = at_a_time if count is None else count
    own = not ray.is_initialized()
    if own:
        ray.init(num_cpus=None if "RAY_ADDRESS" in os.environ else min(at_a_time, ahead), log_to_driver=False)
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

"""Which tasks go together, and what becomes of those whose worker was lost."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.executors.tasks import Next

BATCH_SECONDS = 1.0
"""What a batch takes at least, where there are tasks enough for that."""
MOST_LOST = 3
"""Times that a task is begun where its worker is lost each time."""
REMEMBERED = 100
"""Tasks whose times say how long the next ones take."""


class Batch(NamedTuple):
    """Tasks that one worker does one after the other."""

    tasks: Sequence[Any]
    lost: int = 0
    """Times that its worker was lost, since it is a batch of these tasks."""


class Batches:
    """Batches of tasks, as long as the tasks' times say, as far as any are known.

    >>> numbers = iter(range(10))
    >>> batches = Batches(lambda: next(numbers, None), count=10)
    >>> batches.next(workers=2)  # nobody knows yet how long they take
    Batch(tasks=[0], lost=0)
    >>> batches.took([0.4])
    >>> batches.next(workers=2).tasks
    [1, 2, 3]

    Args:
        following: gives the next task, None where there is none now.
        count: how many there are in all. None: what comes next may depend on what is finished, so that each goes alone.
    """

    def __init__(self, following: Next[Any], count: int | None) -> None:
        self._following, self._count = following, count
        self._again: list[Batch] = []
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    def next(self, workers: int) -> Batch | None:
        """The next batch for one of so many workers; None where there is none now."""
        if self._again:
            return self._again.pop()
        tasks: list[Any] = []
        while len(tasks) < self._size(workers) and (task := self._following()) is not None:
            tasks.append(task)
        return Batch(tasks) if tasks else None

    def took(self, seconds: Sequence[float]) -> None:
        """How long each of some tasks took."""
        self._seconds.extend(seconds)

    def lost(self, batch: Batch) -> bool:
        """Have a batch done again whose worker was lost, in halves: of many tasks, one may be what ends its worker.

        Returns:
            Whether it is done again. A task alone is given up after `MOST_LOST` workers.
        """
        middle = len(batch.tasks) // 2
        if middle:
            self._again += [Batch(batch.tasks[middle:]), Batch(batch.tasks[:middle])]
        elif batch.lost + 1 < MOST_LOST:
            self._again.append(Batch(batch.tasks, batch.lost + 1))
        else:
            return False
        return True

    def _size(self, workers: int) -> int:
        """As many tasks as take a batch's time, but no more than leave each worker a batch."""
        if self._count is None or not self._seconds:
            return 1
        a_task = max(statistics.median(self._seconds), BATCH_SECONDS / self._count)
        return min(math.ceil(BATCH_SECONDS / a_task), math.ceil(self._count / workers))

"""Time several ways of doing something in turn, so that a busy machine slows them all alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol


class Line(Protocol):
    """One line of a benchmark's table."""

    COLUMNS: ClassVar[tuple[str, ...]]
    """Titles of the table's columns."""

    def row(self) -> Sequence[object]:
        """Cells of the table."""
        ...


@dataclass(frozen=True)
class Figure:
    """What something takes, beside what it is compared with."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("what", "median", "best", "", "ratio", "compared with", "target")
    what: str
    median: float
    best: float
    unit: str
    ratio: float | None = None
    """Median of the ratios within each repeat."""
    against: str = ""
    """What the ratio compares with."""
    target: str = ""
    """What the project aims at."""

    def row(self) -> tuple[str, float, float, str, str, str, str]:
        """Cells of the table."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        return self.what, self.median, self.best, self.unit, ratio, self.against, self.target


Times = dict[str, list[float]]


def alternate(ways: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> Times:
    """Seconds of each way in each repeat; the ways take turns.

    Args:
        ways: name -> what to time.
        repeats: turns that count.
        warm_up: turns before them that do not.
    """
    times: Times = {name: [] for name in ways}
    for repeat in range(warm_up + repeats):
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            way()
            if repeat >= warm_up:
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: Times, numerator: str, denominator: str) -> float:
    """Median over the repeats of one way's time divided by the other's in the same repeat."""
    return statistics.median(a / b for a, b in zip(times[numerator], times[denominator], strict=True))


def milliseconds(what: str, seconds: Sequence[float], **more: object) -> Figure:
    """A figure in milliseconds; `more` as `Figure` has it."""
    return Figure(what, 1e3 * statistics.median(seconds), 1e3 * min(seconds), "ms", **more)  # type: ignore[arg-type]

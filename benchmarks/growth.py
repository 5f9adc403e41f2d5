"""How costs grow with the rounds of a run and the records of a round: bytes, files, memory, time at 1, 10, 100 and 1,000 times.

The aim: bytes and files as the work, memory that stays, and a run of 10,000 rounds open in a second. What looks at the records of
every round takes minutes there, so that it is measured up to 1,000 rounds; `python -m benchmarks.growth` measures that as well.
"""

from __future__ import annotations

import math
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.grown_runs import lengthen, make_large, make_long
from benchmarks.one_operation import MEASURES, take
from engine.terminal import print_table

TIMES = (1, 10, 100, 1000)
ROUNDS, RECORDS = 10, 1000
"""Of which these are multiples."""
NEW = 1
"""Rounds that are new where only what is new is verified."""
OVER_ROUNDS = (
    *(
        "open",
        "open, and write the index",
        "open by the index",
        "list",
        "show",
        "one metric of every round",
        "incidents",
    ),
    *(
        "resume",
        "verify",
        "verify, nothing known",
        "verify what is new",
        "export with ten rounds",
        "export to one file",
    ),
)
LOOKS = ("formation", "behaviour", "behaviour, kept")
"""What looks at the records of every round."""
OVER_RECORDS = ("read the round", "influence", "validate")


@dataclass(frozen=True)
class Growth:
    """One measure of an operation as the work grows."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("what", "", *(f"{times:,} x" for times in TIMES), "grows as")
    what: str
    measure: str
    values: tuple[float, ...]
    """At the first of `TIMES`; as many as were measured."""

    def row(self) -> tuple[object, ...]:
        """Cells of the table."""
        missing = len(TIMES) - len(self.values)
        return self.what, self.measure, *self.values, *[None] * missing, self.power

    @property
    def power(self) -> str:
        """The power of the work that the last step grew as: 1 is as the work, 0 not at all.

        >>> Growth("open", "files", (12.0, 102.0, 1002.0)).power, Growth("open", "memory, MB", (0.0, 0.0)).power
        ('0.99', '-')
        """
        *_, before, last = 0.0, *self.values
        return f"{math.log10(last / before):.2f}" if before > 0 and last > 0 else "-"


def figures(quick: bool = False) -> Iterator[Growth]:
    """All operations, those that look at every round up to a hundred times."""
    yield from _over_rounds(TIMES[: 2 if quick else None], TIMES[: 2 if quick else 3])
    yield from _over_records(TIMES[: 3 if quick else None])


def _over_rounds(times: Sequence[int], looks: Sequence[int]) -> Iterator[Growth]:
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in (*OVER_ROUNDS, *LOOKS)}
    for each in times:
        with tempfile.TemporaryDirectory() as folder:
            run = make_long(Path(folder, "runs", "long"), ROUNDS * each)
            for name in (*OVER_ROUNDS, *(LOOKS if each in looks else ())):
                if name == "verify what is new":
                    lengthen(run, NEW)
                taken[name].append(_taken(name, run))
    yield from _lines(taken, lambda name: f"{name}, {ROUNDS} rounds")


def _over_records(times: Sequence[int]) -> Iterator[Growth]:
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in OVER_RECORDS}
    for each in times:
        with tempfile.TemporaryDirectory() as folder:
            run = make_large(Path(folder, "large"), RECORDS * each)
            for name in OVER_RECORDS:
                taken[name].append(_taken(name, run))
    yield from _lines(taken, lambda name: f"{name}, {RECORDS:,} records")


def _taken(name: str, run: Path) -> dict[str, float]:
    """What an operation takes in a process of its own, which has imported what it needs and done nothing yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.one_operation"])
    with ProcessPoolExecutor(1, context) as process:
        return process.submit(take, name, run).result()


def _lines(taken: dict[str, list[dict[str, float]]], titled: Callable[[str], str]) -> Iterator[Growth]:
    for name, all_taken in taken.items():
        for measure in MEASURES:
            title = titled(name) if measure == MEASURES[0] else ""
            yield Growth(title, measure, tuple(float(each[measure]) for each in all_taken))


if __name__ == "__main__":
    print_table(Growth.COLUMNS, [line.row() for line in (*_over_rounds(TIMES, TIMES), *_over_records(TIMES))])

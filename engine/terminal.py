"""What the command line shows: a progress bar on a terminal, plain lines elsewhere, tables."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.control import strip_control_codes
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

PLAIN_SECONDS = 2
"""Between two plain lines about the same thing."""
MANY_ROWS = 500
"""Of a table; more would take seconds to fit to a terminal."""


class Report(Protocol):
    """Told how far the work is: what is being done, done, total."""

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Show it."""
        ...


@contextmanager
def progress(quiet: bool = False, percent: bool = False) -> Iterator[Report]:
    """Progress on stderr with an estimate of the time left.

    On a terminal a bar, elsewhere a plain line when something new begins or `PLAIN_SECONDS` have passed.

    Args:
        quiet: show nothing.
        percent: show `40 %` instead of `2/5`, where the numbers that are reported mean nothing by themselves.
    """
    console = Console(stderr=True)
    if quiet:
        yield lambda doing, done, total: None
    elif console.is_terminal:
        count = TaskProgressColumn() if percent else MofNCompleteColumn()
        with Progress(TextColumn("{task.description}"), BarColumn(), count, console=console) as bar:
            yield _Bar(bar)
    else:
        yield _PlainLines(percent)


class Estimate:
    """The time left, from the pace since the first report: what was done before that was done by somebody else."""

    def __init__(self) -> None:
        self.start: tuple[float, int] | None = None

    def __call__(self, done: int, total: int, now: float | None = None) -> str:
        """`, 3 min left`; empty while nothing is known.

        Args:
            done: how much is done.
            total: of how much.
            now: monotonic seconds; by default the clock's.
        """
        now = time.monotonic() if now is None else now
        before, done_before = self.start = self.start or (now, done)
        if not done_before < done < total:
            return ""
        left = (now - before) / (done - done_before) * (total - done)
        return f", {duration(left)} left"


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 99:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99 * 60 else f"{seconds / 3600:.1f} h"


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self.bar, self.left = bar, Estimate()
        self.task = bar.add_task("starting", total=None)

    def __call__(self, doing: str, done: int, total: int) -> None:
        doing = escape(doing) + self.left(done, total)
        self.bar.update(self.task, description=doing, completed=done, total=total)


class _PlainLines:
    def __init__(self, percent: bool) -> None:
        self.percent, self.left = percent, Estimate()
        self.last = ""
        self.when = 0.0

    def __call__(self, doing: str, done: int, total: int) -> None:
        left = self.left(done, total)
        if doing != self.last or time.monotonic() - self.when > PLAIN_SECONDS:
            count = f"{done / max(1, total):.0%}" if self.percent else f"{done}/{total}"
            print(f"{doing} ({count}{left})", file=sys.stderr, flush=True)
            self.last, self.when = doing, time.monotonic()


def print_json(value: Any) -> None:
    """One JSON object on stdout; NaN and infinity, which JSON does not have, are a mistake."""
    print(json.dumps(value, allow_nan=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; numbers to the right. One of more than `MANY_ROWS` is not fitted to the width of the terminal."""
    numeric = [
        bool(rows) and all(isinstance(row[index], (int, float, type(None))) for row in rows)
        for index in range(len(columns))
    ]
    if len(rows) > MANY_ROWS:
        print("\n".join(_lines(columns, rows, numeric)))
        return
    table = Table(box=None, pad_edge=False)
    for column, is_numeric in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if is_numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _lines(columns: Sequence[str], rows: Sequence[Sequence[object]], numeric: Sequence[bool]) -> Iterator[str]:
    """The same table as plain text, a hundred times faster."""
    cells = [columns, *([strip_control_codes(_cell(value)) for value in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            (" " * (width - cell_len(text)), text) if right else (text, " " * (width - cell_len(text)))
            for text, width, right in zip(row, widths, numeric, strict=True)
        )
        yield "  ".join(map("".join, padded))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

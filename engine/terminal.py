"""What the command line shows: a progress bar on a terminal, plain lines elsewhere, tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table


class Report(Protocol):
    """Told how far the work is: what is being done, done, total."""

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Show it."""
        ...


@contextmanager
def progress(quiet: bool = False) -> Iterator[Report]:
    """Progress on stderr: a bar on a terminal, elsewhere a plain line when something new begins or 5 s have passed."""
    console = Console(stderr=True)
    if quiet:
        yield lambda doing, done, total: None
    elif console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("starting", total=None)
            yield lambda doing, done, total: bar.update(task, description=doing, completed=done, total=total)
    else:
        yield _PlainLines()


class _PlainLines:
    def __init__(self) -> None:
        self.last = ""
        self.when = 0.0

    def __call__(self, doing: str, done: int, total: int) -> None:
        if doing != self.last or time.monotonic() - self.when > 5:
            print(f"{doing} ({done}/{total})", file=sys.stderr, flush=True)
            self.last, self.when = doing, time.monotonic()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; numbers to the right."""
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], (int, float, type(None))) for row in rows)
        table.add_column(column, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

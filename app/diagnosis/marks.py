"""From a mark that was clicked to the records behind it: the one way in which the charts here select."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.shell import picks

RecordsOf = Callable[[int], Sequence[int]]
"""The records behind a mark, by the number in its `customdata`; the last one is shown first."""
OnPick = Callable[[list[int]], None]
"""What is to happen with records that were just picked."""


def picker(key: str, records_of: RecordsOf, on_pick: OnPick) -> Callable[[], None]:
    """An `on_select` for the chart `key`."""

    def picked() -> None:
        if records := [int(record) for mark in picks.records(key) for record in records_of(mark)]:
            on_pick(records)

    return picked

"""The selection: one set of a round's records that every chart of the page reads and may set.

Read it with `current` or `mask`; set it with `choose` in a callback, or give a Plotly chart `on_select=picker(...)`. A chart that
shows the selection may be drawn anew with it, since what was picked in it is kept here and not in the chart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from app.shell import follow_run, picks, state
from engine.errors import EngineError
from engine.intervention.record_sets import RecordSets, read_sets, select, stamp_of_sets
from engine.store.read import Run
from engine.store.snapshot import Snapshot

EVERY_SECONDS = 4.0
"""Between two looks whether another tab changed the sets."""
_UNKEPT = "a selection that the disk did not take"
_SOURCE = "the chart that made the selection"
_VERSION = "how often the selection was made"


def kept(run: Run, round: int) -> tuple[RecordSets, str]:
    """The sets of a round, and what is wrong with their file: then they are shown as none, and can't be changed."""
    try:
        return read_sets(run, round), ""
    except EngineError as error:
        return RecordSets(), str(error)


def current(run: Run, snapshot: Snapshot) -> NDArray[np.int64]:
    """(m,) record numbers of the selection, sorted; none if nothing is selected."""
    commit, records = state.get(_UNKEPT, ("", []))
    if commit != snapshot.hash:
        records = kept(run, snapshot.round)[0].selection
    found = np.array(records, np.int64)
    return found[found < len(snapshot.buffer)]


def mask(run: Run, snapshot: Snapshot) -> NDArray[np.bool_]:
    """(n,) whether each record is selected."""
    chosen = np.zeros(len(snapshot.buffer), np.bool_)
    chosen[current(run, snapshot)] = True
    return chosen


def choose(run: Run, snapshot: Snapshot, records: Iterable[int], source: str = "") -> None:
    """Select these records and no others (in a callback).

    Args:
        run: the run.
        snapshot: its round.
        records: their numbers.
        source: key of the chart that they were picked in, if that chart shows what was picked in it by itself.
    """
    chosen = sorted({int(i) for i in records})
    unkept: tuple[str, list[int]] = ("", [])
    try:
        select(run, snapshot.round, chosen)
    except (EngineError, OSError):  # looking needs no disk
        unkept = (snapshot.hash, chosen)
    state.put({_UNKEPT: unkept})
    changed(source)


def changed(source: str = "") -> None:
    """Say that the selection is another one than was drawn (in a callback)."""
    state.put({_SOURCE: source, _VERSION: version() + 1})


def version() -> int:
    """Grows whenever the selection is made."""
    return int(state.get(_VERSION, 0))


def source() -> str:
    """Key of the chart that made the selection; empty if none shows it by itself."""
    return str(state.get(_SOURCE, ""))


def forget_source(key: str) -> None:
    """Say that this chart was drawn anew, and no longer shows by itself what was picked in it."""
    if source() == key:
        state.put({_SOURCE: ""})


def follow(run: Run, snapshot: Snapshot) -> None:
    """Draw the page anew when the round's sets are changed elsewhere, as in another tab: the disk is the truth."""
    drawn = stamp_of_sets(run, snapshot.round)

    def changed_elsewhere() -> bool:
        news = stamp_of_sets(run, snapshot.round) != drawn
        if news:
            changed()
        return news

    follow_run.redraw_when(changed_elsewhere, every=EVERY_SECONDS)


def picker(
    run: Run, snapshot: Snapshot, key: str, records_of: Callable[[int], Iterable[int]] | None = None
) -> Callable[[], None]:
    """An `on_select` for the Plotly chart `key`: what is picked in it becomes the selection.

    Args:
        run: the run.
        snapshot: its round.
        key: of the chart.
        records_of: the records behind a mark's `customdata`, a number; by default that number is the record's.
    """

    def picked() -> None:
        marks = picks.records(key)
        if marks:  # an emptied pick of a chart that was drawn anew says nothing
            choose(run, snapshot, marks if records_of is None else (i for mark in marks for i in records_of(mark)))

    return picked

"""The scatter of a round's records, in which they are selected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly.graph_objects import Figure

from app.charts import records as charts
from app.charts.outline import inside
from app.scores import target_controls
from app.shell import downloads, picks, selection, state
from app.shell.cached import cached, identity
from app.shell.chart import draw_chart
from engine.core.scores import Scores
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

KEY = "records_scatter"
DRAG = {"lasso": "lasso", "box": "select", "click": "pan"}
_SHOWN = "what the scatter shows"


@dataclass(frozen=True)
class _View:
    """What decides how the chart looks, apart from its records and the selection."""

    x: str
    y: str
    """Names of the fields across and up."""
    dark: bool
    drag: str
    """What dragging does, in Plotly's words."""
    word: str
    """Why the influence must not look sure; empty where it may."""
    inspected: int
    """The record with a ring."""
    basket: bytes
    """(m,) int64: the records with a frame. Bytes are compared faster than many numbers."""


@dataclass(frozen=True)
class _Shown:
    """A drawing of the scatter. Streamlit forgets what was picked in a chart when anything of its figure changes."""

    of: Any
    """What tells its records and their influence from others."""
    view: _View
    selected: bytes
    """(m,) int64: the selection as it was drawn; what was picked in the chart since then, the browser shows."""
    version: int
    """Of that selection."""


def draw(
    run: Run,
    snapshot: ControlSnapshot,
    scores: Scores,
    fields: dict[str, NDArray[Any]],
    axes: tuple[str, str],
    tool: str,
    inspected: int,
    basket: list[int],
    word: str,
    action_names: Sequence[str],
) -> None:
    """The chart.

    Args:
        run: the run.
        snapshot: its round.
        scores: what colours the records.
        fields: their columns.
        axes: names of the fields across and up.
        tool: `lasso`, `box` or `click`.
        inspected: the record with a ring.
        basket: the records with a frame, as far as they are not too many.
        word: why the influence must not look sure; empty where it may.
        action_names: of discrete actions.
    """
    x, y = axes
    of, view = (
        identity(scores),
        _View(x, y, state.is_dark(), DRAG[tool], word, inspected, np.array(basket, np.int64).tobytes()),
    )
    shown: _Shown | None = state.get(_SHOWN)
    # A visit to another page takes away what was picked.
    picked_here = selection.source() == KEY and state.get(KEY) is not None
    if (
        shown is None
        or (shown.of, shown.view) != (of, view)
        or (shown.version != selection.version() and not picked_here)
    ):
        shown = _Shown(of, view, selection.current(run, snapshot).tobytes(), selection.version())
        state.put({_SHOWN: shown})
        selection.forget_source(KEY)
    figure = _figure(shown, fields, action_names)
    draw_chart(
        figure,
        key=KEY,
        marks="record",
        on_select=lambda: _picked(run, snapshot, tool, fields, axes),
        selection_mode=("points", "box", "lasso"),
        config=downloads.chart(f"{run.name}-round-{snapshot.round}-records"),
        alt=f"Scatter of {len(fields['record'])} records, {y} against {x}, coloured by influence: "
        "blue triangles up raised the target, orange triangles down lowered it; the inspected record has a ring"
        + (", those in the basket a frame" if 0 < len(basket) <= charts.MOST_FRAMED else "")
        + (f"; pale: {word}" if word else ""),
    )


def picked(key: str, fields: dict[str, NDArray[Any]], axes: tuple[str, str]) -> list[int]:
    """The records that were picked in a scatter of these fields, also those within its outlines that are not drawn."""
    records = picks.records(key)
    if len(fields["record"]) <= charts.MOST_MARKS:
        return records
    x, y = (fields[axis] for axis in axes)
    within = np.zeros(len(x), np.bool_)
    for outline in picks.outlines(key):
        within |= inside(x, y, *outline)
    return [*dict.fromkeys([*fields["record"][within].tolist(), *records])]


def _picked(
    run: Run, snapshot: ControlSnapshot, tool: str, fields: dict[str, NDArray[Any]], axes: tuple[str, str]
) -> None:
    records = picked(KEY, fields, axes)
    if not records and selection.source() != KEY:  # said of a drawing that is gone, in which something was picked
        return
    selection.choose(run, snapshot, records, KEY)
    if tool == "click" and records:
        state.put({"inspect": records[-1]})
        target_controls.follow(records)


@cached(max_entries=16)
def _figure(shown: _Shown, _fields: dict[str, NDArray[Any]], _action_names: Sequence[str]) -> Figure:
    """The scatter of a round. Another version is another chart: what was picked in the one before is forgotten."""
    view = shown.view
    ringed, selected = (view.inspected, np.frombuffer(view.basket, np.int64)), np.frombuffer(shown.selected, np.int64)
    figure = charts.scatter(
        _fields,
        view.x,
        view.y,
        view.dark,
        view.drag,
        ringed,
        selected,
        word=view.word,
        action_names=_action_names,
    )
    figure.layout.meta = shown.version
    return figure

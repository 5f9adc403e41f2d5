"""Incidents below the returns of a run: a row a kind, in the same rounds."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts.theme import GRID, Theme, faint, plain
from engine.analysis.incidents.falls import Drop
from engine.analysis.incidents.incident import DROP, NOT_FINITE, STUCK, UNLIKE, Incident, What

ROW = 26
"""Pixels of a kind of incident."""
GAP = 14
"""Pixels between the returns and the rows below them."""
WITHIN_NOISE = "within noise"
WIDEST = 70
"""Letters of a line that is read while the pointer rests on a mark."""


@dataclass(frozen=True)
class Shape:
    """How a kind of incident is told from the others, apart from its colour."""

    symbol: str
    """Plotly's name of it."""
    letter: str
    """The same in a text."""


SHAPES: dict[What, Shape] = {
    DROP: Shape("triangle-down", "▼"),
    STUCK: Shape("square", "■"),
    NOT_FINITE: Shape("x", "✕"),
    UNLIKE: Shape("diamond", "◆"),
}
"""In the order of their rows, from above."""


def colour_of(kind: What, colours: Theme) -> str:
    """The colour of a kind of incident: none is that of a line of returns, or of what helps and hurts."""
    of_kinds: dict[What, str] = {
        DROP: colours.series[3],
        STUCK: colours.series[5],
        NOT_FINITE: colours.text,
        UNLIKE: colours.series[2],
    }
    return of_kinds[kind]


def add_strip(figure: go.Figure, found: Sequence[Incident], noise: Drop | None, height: int, colours: Theme) -> int:
    """Add rows of marks below a chart over rounds, which share its axis of rounds; returns the height of it all.

    Args:
        figure: one trace or more over rounds, on the first pair of axes.
        found: the incidents. A mark carries the update that it is the doing of as its `customdata`.
        noise: a fall that is none, to be marked as such; None for no such mark.
        height: of the chart without the strip, in pixels.
        colours: of the theme.
    """
    rows: list[str] = [kind for kind in SHAPES if any(each.kind == kind for each in found)]
    rows += [WITHIN_NOISE] if noise is not None else []
    if not rows:
        return height
    whole = height + GAP + ROW * len(rows)
    for kind, shape in SHAPES.items():
        these = [each for each in found if each.kind == kind]
        if these:
            _add(figure, kind, shape.symbol, colour_of(kind, colours), these)
    spans = [
        {
            "type": "rect",
            "yref": "paper",
            "x0": each.first - 0.5,
            "x1": each.last + 0.5,
            "y0": 0,
            "y1": 1,
            "fillcolor": faint(colour_of(each.kind, colours)),
            "line": {"width": 0},
            "layer": "below",
        }
        for each in found
    ]
    figure.layout.shapes = [*figure.layout.shapes, *spans]
    if noise is not None:
        said = f"{noise.before:.4g} to {noise.after:.4g} at round {noise.round}: no incident"
        _marks(figure, WITHIN_NOISE, "triangle-down-open", colours.text, [noise.round], [None], [said])
    drawn = whole - 72
    """Pixels between the margins, about."""
    strip = ROW * len(rows) / drawn
    figure.layout.yaxis.domain = [strip + GAP / drawn, 1]
    figure.layout.yaxis2 = {
        "domain": [0, strip],
        "tickvals": rows,
        "type": "category",
        "categoryorder": "array",
        "categoryarray": rows,
        "range": [len(rows) - 0.5, -0.5],
        "fixedrange": True,
        "anchor": "x",
        "gridcolor": GRID,
    }
    figure.layout.xaxis.anchor = "y2"
    return whole


def _add(figure: go.Figure, kind: What, symbol: str, colour: str, these: Sequence[Incident]) -> None:
    updates = [each.update for each in these]
    _marks(figure, kind, symbol, colour, [each.onset for each in these], updates, [hover(each) for each in these])


def _marks(
    figure: go.Figure,
    row: str,
    symbol: str,
    colour: str,
    rounds: Sequence[int],
    updates: Sequence[int | None],
    said: Sequence[str],
) -> None:
    figure.add_scatter(
        x=rounds,
        y=[row] * len(rounds),
        yaxis="y2",
        mode="markers",
        name=row,
        customdata=updates,
        hovertext=[in_lines(text) for text in said],
        hoverinfo="text",
        marker={"symbol": symbol, "size": 13, "color": colour, "line": {"width": 1.5, "color": colour}},
        showlegend=False,
    )


def hover(incident: Incident) -> str:
    """What is read on a mark: the reason, and whose doing it is."""
    return f"{incident.reason}. It is the doing of update {incident.update}."


def in_lines(text: str) -> str:
    """A sentence as Plotly shows it, in lines that fit on a chart."""
    return "<br>".join(plain(line) for line in textwrap.wrap(text, WIDEST))

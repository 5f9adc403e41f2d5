"""Marks below the returns of a run, in the same rounds: a row a kind of incident, and removals with their verdicts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts.theme import GRID, Theme, faint, plain
from engine.analysis.incidents.falls import Drop
from engine.analysis.incidents.incident import DROP, FAILED, NOT_FINITE, STUCK, UNLIKE, Incident, What

ROW = 26
"""Pixels of a row."""
WITHIN_NOISE = "within noise"
REMOVALS = "removals"
ACROSS = "across training"
"""The row of removals that belong to a series, the same at every round."""
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
    FAILED: Shape("star", "★"),
}
"""In the order of their rows, from above."""


@dataclass(frozen=True)
class Removal:
    """A removal that was tried in a round, and what came of it."""

    round: int
    verdict: str
    """`helps`, `hurts` or anything else, which is neither."""
    says: str
    """What is read on its mark; plain text."""
    key: str
    """What a click on its mark gives."""
    row: str = REMOVALS
    """`REMOVALS` or `ACROSS`."""


@dataclass(frozen=True)
class Marks:
    """What is marked below the returns."""

    incidents: Sequence[Incident] = ()
    noise: Drop | None = None
    """A fall that is no incident, to be marked as such."""
    removals: Sequence[Removal] = ()

    @property
    def rows(self) -> list[str]:
        """What there is of them, from above; empty for no marks at all."""
        kinds: list[str] = [kind for kind in SHAPES if any(each.kind == kind for each in self.incidents)]
        tried = [row for row in (REMOVALS, ACROSS) if any(each.row == row for each in self.removals)]
        return kinds + [WITHIN_NOISE] * (self.noise is not None) + tried


def colour_of(kind: What, colours: Theme) -> str:
    """The colour of a kind of incident: none is that of a line of returns, or of what helps and hurts."""
    of_kinds: dict[What, str] = {
        DROP: colours.series[3],
        STUCK: colours.series[5],
        NOT_FINITE: colours.text,
        UNLIKE: colours.series[2],
        FAILED: colours.series[6],
    }
    return of_kinds[kind]


def add_marks(figure: go.Figure, marks: Marks, at: Callable[[float], float], colours: Theme) -> None:
    """Add the marks on `y2`, and shade the rounds of every incident over the whole height.

    Args:
        figure: one trace or more over rounds, on the first pair of axes. The domain of `y2` is the caller's.
        marks: a mark of an incident carries the update that it is the doing of as its `customdata`, one of a removal its key.
        at: where a round is on the axis across.
        colours: of the theme.
    """
    for kind, shape in SHAPES.items():
        these = [each for each in marks.incidents if each.kind == kind]
        if these:
            rounds, updates = [at(each.onset) for each in these], [each.update for each in these]
            colour = colour_of(kind, colours)
            _add(figure, kind, [shape.symbol] * len(these), [colour] * len(these), rounds, updates, map(hover, these))
    figure.layout.shapes = [*figure.layout.shapes, *(_span(each, at, colours) for each in marks.incidents)]
    if marks.noise is not None:
        fall = marks.noise
        said = f"{fall.before:.4g} to {fall.after:.4g} at round {fall.round}: no incident"
        _add(figure, WITHIN_NOISE, ["triangle-down-open"], [colours.text], [at(fall.round)], [None], [said])
    for row in (REMOVALS, ACROSS):
        tried = [each for each in marks.removals if each.row == row]
        looks = [_looks(each.verdict, colours) for each in tried]
        if tried:
            _add(
                figure,
                row,
                [symbol for symbol, _ in looks],
                [colour for _, colour in looks],
                [at(each.round) for each in tried],
                [each.key for each in tried],
                [each.says for each in tried],
            )
    figure.layout.yaxis2 = {
        "tickvals": marks.rows,
        "type": "category",
        "categoryorder": "array",
        "categoryarray": marks.rows,
        "range": [len(marks.rows) - 0.5, -0.5],
        "fixedrange": True,
        "anchor": "x",
        "gridcolor": GRID,
    }


def _looks(verdict: str, colours: Theme) -> tuple[str, str]:
    """Symbol and colour of a verdict."""
    known = {"helps": ("triangle-up", colours.helps), "hurts": ("triangle-down", colours.hurts)}
    return known.get(verdict, ("circle-open", colours.text))


def _span(incident: Incident, at: Callable[[float], float], colours: Theme) -> dict[str, object]:
    return {
        "type": "rect",
        "yref": "paper",
        "x0": at(incident.first - 0.5),
        "x1": at(incident.last + 0.5),
        "y0": 0,
        "y1": 1,
        "fillcolor": faint(colour_of(incident.kind, colours)),
        "line": {"width": 0},
        "layer": "below",
    }


def _add(
    figure: go.Figure,
    row: str,
    symbols: Sequence[str],
    shades: Sequence[str],
    across: Sequence[float],
    clicked: Sequence[int | str | None],
    said: Iterable[str],
) -> None:
    figure.add_scatter(
        x=across,
        y=[row] * len(across),
        yaxis="y2",
        mode="markers",
        name=row,
        customdata=clicked,
        hovertext=[in_lines(text) for text in said],
        hoverinfo="text",
        marker={"symbol": symbols, "size": 13, "color": shades, "line": {"width": 1.5, "color": shades}},
        showlegend=False,
    )


def hover(incident: Incident) -> str:
    """What is read on a mark: the reason, and which update to look at."""
    return f"{incident.reason}. The update to look at: {incident.update}."


def in_lines(text: str) -> str:
    """A sentence as Plotly shows it, in lines that fit on a chart."""
    return "<br>".join(plain(line) for line in textwrap.wrap(text, WIDEST))

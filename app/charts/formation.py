"""How a behaviour formed, round by round: make-up of the records behind it, roughness, phases, groups of records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from app.charts.signed_map import CHOSEN, signed_map
from app.charts.theme import NUMBERS, Theme, label_pixels, plain, style, theme
from engine.analysis.formation import FEATURES, RoundFormation
from engine.analysis.phases import PHASES, Stretch, smoothed, unbroken

SIGNS = dict(zip(PHASES, "①②③", strict=True))
"""What a phase is called where there is no room for its name."""
_PHASE_FILLS = ("rgba(204,121,167,0.16)", "rgba(0,158,115,0.16)", "rgba(128,128,128,0.20)")
CROWDED = 40
"""Rounds above which the lines are running means, and single rounds faint marks."""
OLD_MARKS = {"marker": {"opacity": 1}}
"""Marks that are not selected stay as they are."""


def mark_phases(figure: go.Figure, stretches: Sequence[Stretch], columns: int = 1) -> None:
    """Shade the rounds of each phase, with its sign at the top, in each of the plots beside each other.

    All at once, and assigned: `add_vrect` and `update_layout` compare each shape with those before it.
    """
    shapes, signs = [], []
    for stretch in stretches:
        for column in range(1, columns + 1):
            axis = "" if column == 1 else str(column)
            x0, x1 = stretch.first - 0.5, stretch.last + 0.5
            fill = _PHASE_FILLS[PHASES.index(stretch.phase)]
            place = {"xref": f"x{axis}", "yref": f"y{axis} domain"}
            shapes.append(
                {
                    "type": "rect",
                    "x0": x0,
                    "x1": x1,
                    "y0": 0,
                    "y1": 1,
                    "fillcolor": fill,
                    "layer": "below",
                    "line_width": 0,
                }
                | place
            )
            text = {"text": SIGNS[stretch.phase], "font": {"size": 15}, "showarrow": False}
            signs.append(text | place | {"x": (x0 + x1) / 2, "y": 1, "yanchor": "top"})
    layout = figure.layout
    layout.shapes, layout.annotations = [*layout.shapes, *shapes], [*layout.annotations, *signs]


def mark_round(
    figure: go.Figure, chosen: int | None, dark: bool, columns: int = 1, *, across_rows: bool = False
) -> None:
    """A line at the chosen round, in each of the plots beside each other, or through all of those below each other."""
    if chosen is None:
        return
    axes = ["" if column == 1 else str(column) for column in range(1, columns + 1)]
    lines = [
        {
            "type": "line",
            "x0": chosen,
            "x1": chosen,
            "y0": 0,
            "y1": 1,
            "xref": f"x{axis}",
            "yref": "paper" if across_rows else f"y{axis} domain",
            "line": {"color": theme(dark).text, "width": 1.2},
            "name": CHOSEN,
        }
        for axis in axes
    ]
    figure.layout.shapes = [*figure.layout.shapes, *lines]


def gaps(rounds: Sequence[int], values: ArrayLike) -> tuple[list[float], list[float]]:
    """Rounds and values with a hole wherever rounds are missing, so that no line is drawn over what is not known."""
    numbers, column = np.asarray(rounds, float), np.asarray(values, float)
    x: list[float] = []
    y: list[float] = []
    for part in unbroken(rounds):
        x += [*numbers[part], *([numbers[part.stop - 1] + 0.5] if part.stop < len(numbers) else [])]
        y += [*column[part], *([np.nan] if part.stop < len(numbers) else [])]
    return x, y


def make_up(
    every: Sequence[RoundFormation],
    stretches: Sequence[Stretch],
    same_action: str,
    dark: bool,
    chosen: int | None = None,
) -> go.Figure:
    """Share of the top, the bottom and all records of each round with each feature: small multiples beside each other.

    Args:
        every: the rounds that are known.
        stretches: phases to shade.
        same_action: what the first feature is called: continuous actions are only similar.
        dark: theme.
        chosen: round that is marked.
    """
    colours, rounds = theme(dark), [item.round for item in every]
    titles = (same_action, *FEATURES[1:])
    figure = make_subplots(rows=1, cols=3, subplot_titles=titles, horizontal_spacing=0.06, shared_yaxes=True)
    lines = (
        ("top records", "top", _top(colours)),
        ("bottom records", "bottom", _bottom(colours)),
        ("all records", "every", _all()),
    )
    for column, feature in enumerate(FEATURES, 1):
        for name, which, look in lines:
            _line(figure, rounds, [_number(getattr(item, which)[feature]) for item in every], name, look, column, ".0%")
    mark_phases(figure, stretches, columns=3)
    mark_round(figure, chosen, dark, columns=3)
    figure.update_yaxes(range=[-0.04, 1.24], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    return _finish(figure, 270)


def curves(
    every: Sequence[RoundFormation], stretches: Sequence[Stretch], dark: bool, chosen: int | None = None
) -> go.Figure:
    """Roughness with that of shuffled scores, size of influence, and how similar the top records' states are."""
    colours, rounds = theme(dark), [item.round for item in every]
    titles = ("roughness of influence", "size of influence: mean |I|", "similarity of the top records' states")
    figure = make_subplots(rows=1, cols=3, subplot_titles=titles, horizontal_spacing=0.06)
    columns = (
        (1, "of the scores", [item.roughness for item in every], _plain_line(colours)),
        (1, "of shuffled scores", [item.shuffled for item in every], _all()),
        (2, "mean |influence|", [item.magnitude for item in every], _plain_line(colours)),
        (3, "mean cosine similarity", [item.similarity for item in every], _top(colours)),
    )
    for column, name, values, look in columns:
        _line(figure, rounds, [_number(value) for value in values], name, look, column, ".3g", legend=column == 1)
    mark_phases(figure, stretches, columns=3)
    mark_round(figure, chosen, dark, columns=3)
    figure.update_yaxes(rangemode="tozero", col=1).update_yaxes(rangemode="tozero", col=2)
    return _finish(figure, 270)


def groups(
    every: Sequence[RoundFormation], grouping: str, labels: Sequence[str], dark: bool, chosen: int | None = None
) -> go.Figure:
    """Rounds x groups of records, coloured by the group's summed influence on the behaviour.

    Args:
        every: the rounds that are known.
        grouping: which of their groupings.
        labels: (m,) names of its groups.
        dark: theme.
        chosen: round whose column has a frame.
    """
    table: NDArray[np.float64] = np.array([item.groups[grouping] for item in every]).T
    rounds, names = [str(item.round) for item in every], [plain(label) for label in labels]
    figure = signed_map(
        table,
        rounds,
        names,
        [(number, name, f"{number}:{j}") for number in rounds for j, name in enumerate(names)],
        rounds.index(str(chosen)) if str(chosen) in rounds else None,
        dark,
        hovertemplate="round %{x}<br>%{y}: %{z:+.3f} of the round's total |influence|<extra></extra>",
        xgap=1 if len(rounds) <= 60 else 0,
    )
    figure.update_layout(
        xaxis={"title": "round", "type": "category", "range": [-0.5, len(rounds) - 0.5], "nticks": 20},
        yaxis={"autorange": "reversed"},
        dragmode="pan",
    )
    return style(figure, 110 + max(34 if len(names) <= 8 else 22, 4) * len(names), label_pixels(names))


def _line(
    figure: go.Figure,
    rounds: Sequence[int],
    values: Sequence[float],
    name: str,
    look: dict[str, Any],
    column: int,
    number: str,
    legend: bool | None = None,
) -> None:
    """A line whose marks name their round when they are clicked; of many rounds their running mean."""
    x, y = gaps(rounds, values)
    crowded, place = len(rounds) > CROWDED, {"row": 1, "col": column, "name": name, "legendgroup": name}
    shown = column == 1 if legend is None else legend
    figure.add_scatter(
        x=x,
        y=y,
        customdata=[int(one) for one in x],
        showlegend=shown and not crowded,
        mode="markers" if crowded else "lines+markers",
        opacity=0.35 if crowded else 1,
        hovertemplate=f"%{{y:{number}}}",
        unselected=OLD_MARKS,
        selected={"marker": {"size": 11}},
        **place,
        **(look | {"marker": {**look["marker"], "size": 3}} if crowded else look),
    )
    if crowded:
        column_of = np.asarray(values, float)
        means = np.concatenate([smoothed(column_of[part]) for part in unbroken(rounds)])
        x, y = gaps(rounds, means)
        figure.add_scatter(x=x, y=y, showlegend=shown, mode="lines", hoverinfo="skip", line=look["line"], **place)


def _finish(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(hovermode="x", dragmode="pan")
    figure.update_xaxes(title="round", hoverformat="d")
    style(figure, height, NUMBERS)
    return figure.update_layout(margin={"t": 54}, legend={"y": 1.14})


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _top(colours: Theme) -> dict[str, Any]:
    return {"line": {"color": colours.helps, "width": 2}, "marker": {"size": 6, "symbol": "triangle-up"}}


def _bottom(colours: Theme) -> dict[str, Any]:
    return {
        "line": {"color": colours.hurts, "width": 1.5, "dash": "dash"},
        "marker": {"size": 6, "symbol": "triangle-down"},
    }


def _plain_line(colours: Theme) -> dict[str, Any]:
    return {"line": {"color": colours.series[2], "width": 2}, "marker": {"size": 5}}


def _all() -> dict[str, Any]:
    return {"line": {"color": "rgba(128,128,128,0.9)", "width": 1.5, "dash": "dot"}, "marker": {"size": 3}}

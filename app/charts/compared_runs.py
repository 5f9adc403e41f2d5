"""Several runs beside one another: a line a run, or a line with a band for the runs that differ only in their seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.theme import faint, plain, style, theme
from engine.analysis.compared_runs import Curve

DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "cross")
MARGIN = 0.05
"""Of the axis, above and below what was measured."""
MARKED = 40
"""Curves of at most so many rounds have a mark at every round."""


def curves(lines: Mapping[str, Curve], metric: str, by_steps: bool, dark: bool) -> go.Figure:
    """One metric over training. Bands are where a curve has them; where a curve is smoothed, the faint line is as measured.

    Args:
        lines: label -> curve.
        metric: title of the vertical axis.
        by_steps: environment steps across rather than rounds.
        dark: theme.
    """
    figure = go.Figure()
    for i, (label, line) in enumerate(lines.items()):
        _draw(figure, i, label, line, by_steps, dark)
    figure.update_layout(
        xaxis_title="environment steps" if by_steps else "round", yaxis_title=plain(metric), dragmode="pan"
    )
    figure.update_yaxes(range=_clipped(lines))
    return style(figure, 420)


def small_multiples(metrics: Mapping[str, Mapping[str, Curve]], by_steps: bool, dark: bool) -> go.Figure:
    """The same for several metrics, three panels a row; the legend is that of `curves`.

    Args:
        metrics: title -> label -> curve.
        by_steps: environment steps across rather than rounds.
        dark: theme.
    """
    rows = max(-(-len(metrics) // 3), 1)
    figure = make_subplots(
        rows=rows,
        cols=3,
        subplot_titles=[plain(title) for title in metrics],
        vertical_spacing=0.4 / rows,
        horizontal_spacing=0.08,
    )
    for panel, lines in enumerate(metrics.values()):
        for i, (label, line) in enumerate(lines.items()):
            place = {"row": panel // 3 + 1, "col": panel % 3 + 1}
            _draw(figure, i, label, line, by_steps, dark, marks=False, **place)
        figure.update_yaxes(range=_clipped(lines), row=panel // 3 + 1, col=panel % 3 + 1)
    style(figure, 190 * rows)
    figure.update_layout(margin={"t": 36}, dragmode="pan", showlegend=False)
    return figure


def _clipped(lines: Mapping[str, Curve]) -> tuple[float, float] | None:
    """The vertical axis: as far as what was measured reaches, wherever a band may end; None where all is one value."""
    extents = [line.extent for line in lines.values() if line.extent is not None]
    low, high = min((low for low, _ in extents), default=0.0), max((high for _, high in extents), default=0.0)
    beyond = MARGIN * (high - low)
    return (low - beyond, high + beyond) if beyond else None


def _draw(
    figure: go.Figure, i: int, label: str, line: Curve, by_steps: bool, dark: bool, *, marks: bool = True, **place: int
) -> None:
    colours = theme(dark).series
    colour, x = colours[i % len(colours)], line.steps if by_steps else line.round
    banded = np.isfinite(line.low)
    for bounds, fill in ((line.low, None), (line.high, "tonexty")):
        figure.add_scatter(
            x=x[banded],
            y=bounds[banded],
            mode="lines",
            line={"width": 0, "color": colour},
            fill=fill,
            fillcolor=faint(colour),
            hoverinfo="skip",
            showlegend=False,
            legendgroup=label,
            **place,
        )
    if not np.array_equal(line.raw, line.mean):
        figure.add_scatter(
            x=x,
            y=line.raw,
            mode="lines",
            line={"width": 1, "color": colour},
            opacity=0.45,
            hoverinfo="skip",
            showlegend=False,
            legendgroup=label,
            **place,
        )
    figure.add_scatter(
        x=x,
        y=line.mean,
        mode="lines+markers" if marks and len(x) <= MARKED else "lines",
        name=plain(label),
        legendgroup=label,
        line={"width": 2.2, "color": colour, "dash": DASHES[i % len(DASHES)]},
        marker={"size": 7, "symbol": SYMBOLS[i % len(SYMBOLS)]},
        customdata=np.stack([line.round, line.runs, line.raw], axis=1),
        hovertemplate=f"{plain(label)}<br>round %{{customdata[0]}}: %{{y:.4g}}{_more(line)}<extra></extra>",
        **place,
    )


def _more(line: Curve) -> str:
    """What the hover text says beside the value."""
    smoothed = "<br>as measured %{customdata[2]:.4g}" if not np.array_equal(line.raw, line.mean) else ""
    return smoothed + ("<br>mean over %{customdata[1]} seeds" if int(line.runs.max(initial=1)) > 1 else "")

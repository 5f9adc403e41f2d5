"""An autopsy: what the update did to the return, and what it would have done had one thing been otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from app.charts.theme import MARK, label_pixels, plain, style, theme
from engine.intervals import Interval
from engine.intervention.autopsy.played_arms import PlayedArm, PlayedPolicy

ROW_PIXELS, ARM_PIXELS = 46, 26
SYMBOLS = {
    "order": "circle",
    "data": "diamond",
    "step": "square",
    "critic": "triangle-up",
    "advantages": "triangle-down",
    "records": "star",
}
"""Of each cause; a second cue beside its colour."""


def changes(rows: Mapping[str, Interval], dark: bool) -> go.Figure:
    """A change of the return for each name, with its interval, against no change."""
    colours = theme(dark)
    figure = go.Figure()
    for i, (name, interval) in enumerate(rows.items()):
        figure.add_trace(_bar(plain(name), interval, "change", colours.series[i], "circle"))
    figure.add_vline(x=0, line={"color": MARK, "width": 1})
    figure.update_layout(xaxis_title="change of the return", yaxis={"autorange": "reversed"}, showlegend=False)
    return style(figure, 84 + ROW_PIXELS * len(rows), label_pixels(rows))


def arms(
    played: Sequence[PlayedArm], causes: Mapping[str, str], recorded: Sequence[PlayedPolicy], dark: bool
) -> go.Figure:
    """The return of each arm with its interval, grouped by the cause that it asks for, between two lines of reference.

    Args:
        played: the arms.
        causes: what each cause is.
        recorded: the policies before the update and after it.
        dark: theme.
    """
    colours, names = theme(dark), list(causes)
    rows = sorted(played, key=lambda arm: names.index(arm.cause))
    figure = go.Figure()
    for arm in rows:
        colour = colours.series[names.index(arm.cause)]
        bar = _bar(_label(arm), arm.mean, "return", colour, SYMBOLS[arm.cause])
        first = arm == next(each for each in rows if each.cause == arm.cause)
        figure.add_trace(bar.update(name=plain(causes[arm.cause]), showlegend=first, legendgroup=arm.cause))
    for policy, dash in zip(recorded, ("dot", "dash"), strict=True):
        value = policy.mean.value
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": MARK, "dash": dash, "width": 2},
            name=f"{policy.name}: {value:.4g}",
        )
        figure.add_vline(x=value, line={"color": MARK, "dash": dash, "width": 2})
    figure.update_layout(xaxis_title="mean return", yaxis={"autorange": "reversed"})
    style(figure, 124 + ARM_PIXELS * len(rows), label_pixels(arm.name for arm in rows))
    figure.update_layout(margin_t=110)  # the legend has four lines
    return figure


def _label(arm: PlayedArm) -> str:
    """Its name, bold where it decides."""
    return f"<b>{plain(arm.name)}</b>" if arm.lead else plain(arm.name)


def _bar(label: str, interval: Interval, what: str, colour: str, symbol: str) -> go.Scatter:
    """A mark with its interval; an infinite end is not drawn."""
    value, low, high = interval
    up, down = (reach if math.isfinite(reach) else 0.0 for reach in (high - value, value - low))
    return go.Scatter(
        x=[value],
        y=[label],
        error_x={"type": "data", "symmetric": False, "array": [up], "arrayminus": [down], "thickness": 2, "width": 7},
        mode="markers",
        marker={"size": 12, "symbol": symbol, "color": colour},
        hovertemplate=f"{label}<br>{what} {value:.4g} ({low:.4g} to {high:.4g})<extra></extra>",
    )

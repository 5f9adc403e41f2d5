"""Two episodes played side by side, moved by one slider in the browser, with the return so far below them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.compared_runs import DASHES, SYMBOLS
from app.charts.theme import MARK, plain, style, theme
from engine.analysis.films import Film

MILLISECONDS = 80
"""How long a picture is shown while the films play."""


def side_by_side(films: Sequence[Film], labels: Sequence[str], dark: bool) -> go.Figure:
    """Films that begin together; one that has ended stays at its last state.

    Args:
        films: with pictures.
        labels: what they are called.
        dark: theme.
    """
    colours, m = theme(dark).series, len(films)
    specs: list[list[Any]] = [[{} for _ in films], [{"colspan": m}, *[None] * (m - 1)]]
    figure = make_subplots(
        rows=2,
        cols=m,
        specs=specs,
        row_heights=[0.68, 0.32],
        vertical_spacing=0.12,
        horizontal_spacing=0.03,
        subplot_titles=[_title(one, label, 0) for one, label in zip(films, labels, strict=True)],
    )
    for i, one in enumerate(films):
        figure.add_trace(go.Image(source=_source(one.pictures[0]), hoverinfo="skip"), row=1, col=i + 1)
    for i, (one, label) in enumerate(zip(films, labels, strict=True)):
        figure.add_scatter(
            x=one.step,
            y=one.reward_sum,
            mode="lines",
            name=plain(label),
            line={"width": 2.2, "color": colours[i], "dash": DASHES[i % len(DASHES)]},
            hovertemplate=f"{plain(label)}<br>step %{{x}}: %{{y:.4g}} so far<extra></extra>",
            row=2,
            col=1,
        )
    for i, one in enumerate(films):
        figure.add_scatter(
            x=one.step[:1],
            y=one.reward_sum[:1],
            mode="markers",
            marker={"size": 10, "symbol": SYMBOLS[i], "color": colours[i], "line": {"width": 1, "color": MARK}},
            hoverinfo="skip",
            showlegend=False,
            row=2,
            col=1,
        )
    steps = np.unique(np.concatenate([one.step for one in films])).tolist()
    figure.frames = [_frame(films, labels, step) for step in steps]
    style(figure, 560)
    figure.update_xaxes(visible=False, row=1)
    figure.update_yaxes(visible=False, row=1)
    figure.update_xaxes(title="step", row=2)
    figure.update_yaxes(title="return so far", row=2)
    figure.update_layout(
        sliders=[_slider(steps)],
        updatemenus=[_buttons()],
        showlegend=False,
        margin={"t": 44, "b": 90},
        dragmode=False,
    )
    return figure


def _frame(films: Sequence[Film], labels: Sequence[str], step: int) -> go.Frame:
    """What the slider shows at a step: pictures, marks and titles."""
    at, m = [one.at(step) for one in films], len(films)
    pictures = [go.Image(source=_source(one.pictures[i])) for one, i in zip(films, at, strict=True)]
    marks = [go.Scatter(x=[int(one.step[i])], y=[float(one.reward_sum[i])]) for one, i in zip(films, at, strict=True)]
    titles = [{"text": _title(one, label, i)} for one, label, i in zip(films, labels, at, strict=True)]
    return go.Frame(
        data=[*pictures, *marks],
        traces=[*range(m), *range(2 * m, 3 * m)],
        layout={"annotations": titles},
        name=str(step),
    )


def _title(one: Film, label: str, i: int) -> str:
    over = f", {plain(one.ended)}" if int(one.step[i]) == one.steps else ""
    return f"{plain(label)}<br>step {int(one.step[i])}{over}: return {one.reward_sum[i]:.4g}"


def _source(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def _slider(steps: Sequence[int]) -> dict[str, Any]:
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    return {
        "active": 0,
        "x": 0.16,
        "len": 0.84,
        "y": -0.16,
        "pad": {"t": 0, "b": 0},
        "currentvalue": {"prefix": "step ", "xanchor": "right"},
        "ticklen": 0,
        "minorticklen": 0,
        "font": {"color": "rgba(0,0,0,0)"},
        "steps": [{"method": "animate", "args": [[str(step)], now], "label": str(step)} for step in steps],
    }


def _buttons() -> dict[str, Any]:
    play = {"fromcurrent": True, "frame": {"duration": MILLISECONDS, "redraw": True}, "transition": {"duration": 0}}
    stop = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    return {
        "type": "buttons",
        "direction": "left",
        "x": 0,
        "y": -0.16,
        "xanchor": "left",
        "yanchor": "top",
        "showactive": False,
        "buttons": [
            {"label": "▶ Play", "method": "animate", "args": [None, play]},
            {"label": "❚❚ Pause", "method": "animate", "args": [[None], stop]},
        ],
    }

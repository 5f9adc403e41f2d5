"""A run over its rounds: return, losses, and which actions' records pushed the return."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from app.charts.incidents import add_strip
from app.charts.theme import MARK, plain, style, theme
from engine.analysis.incidents.falls import Drop
from engine.analysis.incidents.incident import Incident

LOSSES = {
    "value_loss": "value loss",
    "policy_gradient_loss": "policy loss",
    "entropy": "entropy",
    "approx_kl": "approximate KL",
    "clip_fraction": "share of ratios clipped",
    "explained_variance": "explained variance",
    "dropped": "records dropped by the filter",
    "mean_kl": "KL to the reference",
    "validation_reward": "reward of held-out prompts",
    "reward/judge": "share of rude responses",
    "truncated": "share of responses cut off",
}
"""Metric -> title; those of language models come last."""


def returns(
    rounds: Sequence[int],
    mean: Sequence[float | None],
    std: Sequence[float | None],
    stored: Sequence[bool],
    chosen: int | None,
    dark: bool,
    what: str = "return",
    incidents: Sequence[Incident] = (),
    noise: Drop | None = None,
) -> go.Figure:
    """Mean return of the training episodes per round, with one standard deviation; filled marks have records.

    Of a language model's responses it is the `what`: reward. Below it is a strip of incidents, if there are any, and of a
    fall that is within noise.
    """
    colours = theme(dark)
    centre = np.array([np.nan if value is None else value for value in mean], float)
    spread = np.array([0 if value is None else value for value in std], float)
    figure = go.Figure()
    for sign in (-1, 1):
        figure.add_scatter(
            x=rounds,
            y=centre + sign * spread,
            mode="lines",
            line={"width": 0},
            fill="tonexty" if sign > 0 else None,
            fillcolor="rgba(86,140,200,0.22)",
            hoverinfo="skip",
            showlegend=False,
        )
    figure.add_scatter(
        x=rounds,
        y=centre,
        mode="lines+markers",
        customdata=list(rounds),
        line={"color": colours.series[0], "width": 2},
        marker={
            "size": 9,
            "symbol": ["circle" if is_stored else "circle-open" for is_stored in stored],
            "color": colours.series[0],
        },
        showlegend=False,
        hovertemplate=f"round %{{x}}<br>mean {what} %{{y:.2f}}<extra></extra>",
    )
    if chosen is not None:
        figure.add_vline(x=chosen, line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_layout(xaxis_title="round", yaxis_title=f"mean {what}", dragmode="pan")
    return style(figure, add_strip(figure, incidents, noise, 320, colours))


def losses(rounds: Sequence[int], series: dict[str, Sequence[float | None]], dark: bool) -> go.Figure:
    """Small multiples of the update's metrics, one panel each."""
    colours = theme(dark)
    names = [name for name in LOSSES if any(value is not None for value in series.get(name, ()))]
    rows = max(-(-len(names) // 3), 1)
    figure = make_subplots(
        rows=rows,
        cols=3,
        subplot_titles=[LOSSES[name] for name in names],
        vertical_spacing=0.4 / rows,
        horizontal_spacing=0.08,
    )
    for i, name in enumerate(names):
        figure.add_scatter(
            x=list(rounds),
            y=series[name],
            mode="lines",
            line={"color": colours.series[0], "width": 1.8},
            showlegend=False,
            name=LOSSES[name],
            hovertemplate="round %{x}: %{y:.4g}<extra></extra>",
            row=i // 3 + 1,
            col=i % 3 + 1,
        )
    style(figure, 190 * rows)
    figure.update_layout(margin={"t": 36})
    return figure


def formation(rounds: Sequence[int], names: Sequence[str], table: NDArray[np.float64], dark: bool) -> go.Figure:
    """Rounds x actions, coloured by the summed influence of the action's records on the return target.

    Args:
        rounds: (k,) recorded rounds.
        names: (m,) names of the actions.
        table: (m, k) sums, relative to the round's sum of |influence|.
        dark: theme.
    """
    colours = theme(dark)
    limit = float(np.abs(table).max()) or 1.0
    figure = go.Figure(
        go.Heatmap(
            x=[str(k) for k in rounds],
            y=[plain(name) for name in names],
            z=table,
            zmin=-limit,
            zmax=limit,
            colorscale=colours.diverging,
            text=np.where(table > 0, "+", "−") if table.size <= 400 else None,
            texttemplate="%{text}" if table.size <= 400 else None,
            colorbar={"title": {"text": "share of influence", "side": "right"}, "thickness": 10, "outlinewidth": 0},
            hovertemplate="round %{x}<br>%{y}: %{z:+.3f} of the round's total |influence|<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )
    figure.add_scatter(
        x=[str(k) for k in rounds for _ in names],
        y=[plain(name) for _ in rounds for name in names],
        customdata=[k for k in rounds for _ in names],
        mode="markers",
        marker={"symbol": "square", "size": 16, "color": "rgba(0,0,0,0)"},
        hoverinfo="none",
        showlegend=False,
    )
    figure.update_layout(
        xaxis={"title": "round", "type": "category", "range": [-0.5, len(rounds) - 0.5]}, dragmode="pan"
    )
    return style(figure, 120 + 42 * len(names))

"""How a behaviour formed: pi(a|s) over rounds, and the records behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from app.charts.theme import MARK, influence_limit, plain, style, theme


def curve(
    rounds: NDArray[np.int64],
    probability: NDArray[np.float64],
    names: Sequence[str],
    action: int,
    record_round: int,
    dark: bool,
) -> go.Figure:
    """pi(a|s) of every action before each round's update; the chosen action is drawn heavily.

    Args:
        rounds: (k,) checkpoint numbers.
        probability: (k, m)
        names: (m,) names of the actions.
        action: the chosen one.
        record_round: where the record is from.
        dark: theme.
    """
    colours = theme(dark)
    figure = go.Figure()
    for i, name in enumerate(names):
        chosen = i == action
        figure.add_scatter(
            x=rounds,
            y=probability[:, i],
            customdata=rounds,
            name=plain(name) + (" (this action)" if chosen else ""),
            mode="lines+markers" if chosen else "lines",
            line={
                "color": colours.series[i % len(colours.series)],
                "width": 3 if chosen else 1.2,
                "dash": "solid" if chosen else "dot",
            },
            marker={"size": 8},
            hovertemplate=f"before round %{{x}}<br>π({plain(name)} | s) = %{{y:.4f}}<extra></extra>",
        )
    figure.add_vline(
        x=record_round,
        line={"color": MARK, "width": 1, "dash": "dash"},
        annotation={"text": "the record's round", "font": {"size": 11}},
    )
    figure.update_layout(
        xaxis_title="before the update of round", yaxis={"title": "π(a | s)", "range": [-0.02, 1.05]}, dragmode="pan"
    )
    return style(figure, 360)


def gaussian_curve(
    rounds: NDArray[np.int64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    names: Sequence[str],
    action: NDArray[np.float32],
    record_round: int,
    dark: bool,
) -> go.Figure:
    """Mean and standard deviation of every component of a continuous action before each round's update.

    Args:
        rounds: (k,) checkpoint numbers.
        mean: (k, d)
        deviation: (k, d) standard deviations.
        names: (d,) names of the components.
        action: (d,) the action taken, as a dashed line.
        record_round: where the record is from.
        dark: theme.
    """
    colours = theme(dark)
    figure = make_subplots(rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=0.3 / (2 + len(names)))
    for j, name in enumerate(names):
        colour = colours.series[j % len(colours.series)]
        place = {"row": j + 1, "col": 1}
        for bound, fill in ((mean[:, j] - deviation[:, j], None), (mean[:, j] + deviation[:, j], "tonexty")):
            line = {"color": colour, "width": 0.5, "dash": "dot"}
            figure.add_scatter(
                x=rounds, y=bound, fill=fill, line=line, mode="lines", showlegend=False, hoverinfo="skip", **place
            )
        figure.add_scatter(
            x=rounds,
            y=mean[:, j],
            customdata=deviation[:, j],
            mode="lines",
            line={"color": colour, "width": 2.5},
            showlegend=False,
            hovertemplate=f"before round %{{x}}<br>{plain(name)} %{{y:.3g}} ± %{{customdata:.3g}}<extra></extra>",
            **place,
        )
        figure.add_hline(y=float(action[j]), line={"color": MARK, "width": 1, "dash": "dash"}, **place)
        figure.update_yaxes(title=plain(name), **place)
    figure.add_vline(x=record_round, line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_xaxes(title="before the update of round", row=len(names), col=1)
    figure.update_layout(dragmode="pan")
    return style(figure, max(320, 60 + 120 * len(names)))


def contributors(
    rounds: NDArray[np.int64],
    records: NDArray[np.int64],
    influence: NDArray[np.float32],
    same_action: NDArray[np.bool_],
    dark: bool,
) -> go.Figure:
    """The top and bottom records of each round: height is influence, a filled mark took the chosen action.

    Args:
        rounds: (m,) round of each shown record.
        records: (m,) record numbers.
        influence: (m,)
        same_action: (m,) whether the record took the chosen action.
        dark: theme.
    """
    colours = theme(dark)
    limit = influence_limit(influence)
    up = influence >= 0
    symbol = np.where(
        up,
        np.where(same_action, "triangle-up", "triangle-up-open"),
        np.where(same_action, "triangle-down", "triangle-down-open"),
    )
    figure = go.Figure(
        go.Scatter(
            x=rounds,
            y=influence,
            customdata=[f"{k}:{i}" for k, i in zip(rounds, records, strict=True)],
            mode="markers",
            marker={
                "color": influence,
                "colorscale": colours.diverging,
                "cmin": -limit,
                "cmax": limit,
                "size": 10,
                "symbol": symbol,
            },
            hovertemplate="round %{x}, record %{customdata}<br>influence %{y:+.3g}<extra></extra>",
        )
    )
    figure.update_layout(xaxis_title="round", yaxis_title="influence on log π(a | s)", dragmode="pan", showlegend=False)
    return style(figure, 300)

"""Original against counterfactual against control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import MARK, faint, style, theme

SYMBOLS = {"original": "circle", "counterfactual": "diamond", "control": "square"}
"""Of the arms, in the order in which they are drawn."""


def arm_names(repair: bool) -> dict[str, str]:
    """What the arms of a removal, or of a repair, are called; the original first."""
    chosen, random = "without the chosen records", "without as many random records"
    if repair:
        chosen, random = "the chosen records repaired", "as many random records repaired"
    return {"original": "original", "counterfactual": chosen, "control": random}


def difference_names(repair: bool) -> dict[str, str]:
    """What the two differences are called that a verdict rests on."""
    random = f"difference from the random {'repair' if repair else 'removal'}"
    return {"difference": "difference from the original", "difference_from_control": random}


def arms(result: Mapping[str, Any], dark: bool) -> go.Figure:
    """Mean return and 95 % interval of each arm; the small marks are the minibatch orders, joined across the arms."""
    colours = theme(dark)
    titles = arm_names(bool(result.get("repair")))
    names = list(titles)
    positions = np.arange(len(names))
    figure = go.Figure()
    orders = np.array([result["order_means"][name] for name in names])
    for q, values in enumerate(orders.T):
        figure.add_scatter(
            x=positions,
            y=values,
            mode="lines+markers",
            line={"color": colours.neutral, "width": 1},
            marker={"size": 5, "color": colours.neutral},
            showlegend=False,
            hovertemplate=f"minibatch order {q + 1}<br>mean return %{{y:.2f}}<extra></extra>",
        )
    for i, name in enumerate(names):
        estimate = result[name]
        low, high = (estimate["mean"] if estimate[side] is None else estimate[side] for side in ("low", "high"))
        figure.add_scatter(
            x=[i],
            y=[estimate["mean"]],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [high - estimate["mean"]],
                "arrayminus": [estimate["mean"] - low],
                "thickness": 2,
                "width": 8,
            },
            mode="markers",
            marker={"size": 13, "symbol": SYMBOLS[name], "color": colours.series[i]},
            name=titles[name],
            hovertemplate=f"{titles[name]}<br>mean return %{{y:.3f}}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"tickvals": positions, "ticktext": list(titles.values()), "range": [-0.5, 2.5]},
        yaxis_title="mean evaluation return",
        showlegend=False,
    )
    return style(figure, 380)


def curves(result: Mapping[str, Any], before: Sequence[tuple[int, float | None]], dark: bool) -> go.Figure:
    """Training return of the rounds after the intervention, one branch per arm; the parent's earlier rounds in grey."""
    colours = theme(dark)
    figure = go.Figure()
    figure.add_scatter(
        x=[k for k, _ in before],
        y=[value for _, value in before],
        mode="lines",
        line={"color": colours.neutral, "width": 2},
        name="before",
    )
    for i, (name, title) in enumerate(arm_names(bool(result.get("repair"))).items()):
        points = result["curves"].get(name, [])
        start = [before[-1]] if before else []
        figure.add_scatter(
            x=[k for k, _ in start] + [point["round"] for point in points],
            y=[value for _, value in start] + [point["mean_return"] for point in points],
            mode="lines+markers",
            marker={"symbol": SYMBOLS[name], "size": 8},
            line={"color": colours.series[i], "width": 2},
            name=title,
        )
    figure.add_vline(x=result["round"], line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_layout(xaxis_title="round", yaxis_title="mean training return")
    return style(figure, 340)


def recollected_curves(
    again: Mapping[str, Any], replayed: int, before: Sequence[tuple[int, float | None]], dark: bool, *, repair: bool
) -> go.Figure:
    """As `curves`, over several seeds: the mean of each arm with a band, its 95 % interval where two seeds have a value.

    Args:
        again: `recollected` of a result.
        replayed: round k.
        before: the parent's rounds up to it, with their mean training return.
        dark: theme.
        repair: whether records were repaired in the place of being removed.
    """
    colours, rounds = theme(dark), again["rounds"]
    figure = go.Figure()
    figure.add_scatter(
        x=[k for k, _ in before],
        y=[value for _, value in before],
        mode="lines",
        line={"color": colours.neutral, "width": 2},
        name="before",
    )
    for i, (name, title) in enumerate(arm_names(repair).items()):
        points, colour = again["curves"][name], colours.series[i]
        banded = [(k, point) for k, point in zip(rounds, points, strict=True) if point["low"] is not None]
        figure.add_scatter(
            x=[k for k, _ in banded] + [k for k, _ in reversed(banded)],
            y=[point["high"] for _, point in banded] + [point["low"] for _, point in reversed(banded)],
            mode="lines",
            fill="toself",
            fillcolor=faint(colour),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=rounds,
            y=[point["mean"] for point in points],
            mode="lines+markers",
            marker={"symbol": SYMBOLS[name], "size": 8},
            line={"color": colour, "width": 2},
            name=title,
            hovertemplate=f"{title}<br>round %{{x}}: %{{y:.2f}}<extra></extra>",
        )
    figure.add_vline(x=replayed, line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_layout(xaxis_title="round", yaxis_title="mean training return")
    return style(figure, 340)

"""The demonstration of language models: how rude, at which cost; how well planted faults are found; what the text is like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import MARK, faint, plain, style, theme

DASHES = ("solid", "dash", "dot", "dashdot")


def over_cost(
    arms: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64]]],
    names: Sequence[str],
    x_title: str,
    y_title: str,
    level: float | None,
    dark: bool,
) -> go.Figure:
    """A measure of every arm over what was spent: the mean over seeds, with a band from the lowest to the highest.

    Args:
        arms: name, (rounds + 1,) cost so far, (seeds, rounds + 1) values.
        names: all arms, which fixes colours and dashes.
        x_title: the cost.
        y_title: the measure.
        level: drawn as a dashed line; None without it.
        dark: theme.
    """
    colours = theme(dark).series
    figure = go.Figure()
    for name, cost, values in arms:
        i = list(names).index(name)
        low, high, mean = values.min(0), values.max(0), values.mean(0)
        figure.add_scatter(
            x=np.concatenate([cost, cost[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor=faint(colours[i % len(colours)]),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
        figure.add_scatter(
            x=cost,
            y=mean,
            mode="lines",
            name=plain(name),
            legendgroup=name,
            line={"color": colours[i % len(colours)], "width": 2.2, "dash": DASHES[i % len(DASHES)]},
            customdata=np.stack([np.arange(len(mean)), low, high], axis=1),
            hovertemplate=(
                f"{plain(name)}<br>after round %{{customdata[0]:.0f}}: %{{y:.3g}} (%{{customdata[1]:.3g}} to "
                "%{customdata[2]:.3g})<extra></extra>"
            ),
        )
    if level is not None:
        figure.add_hline(y=level, line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_layout(xaxis_title=x_title, yaxis_title=y_title)
    figure.update_yaxes(rangemode="tozero")
    return style(figure, 340)


def detection(influence: NDArray[np.float64], reward: NDArray[np.float64], dark: bool) -> go.Figure:
    """AUC of the planted flips in each round, by influence and by the reward as training saw it.

    Args:
        influence: (seeds, rounds) AUC by influence.
        reward: (seeds, rounds) AUC by reward.
        dark: theme.
    """
    rounds = np.arange(1, influence.shape[1] + 1).astype(float)
    arms = [("influence", rounds, influence), ("reward", rounds, reward)]
    return over_cost(arms, ("influence", "reward"), "round", "AUC", 0.5, dark)

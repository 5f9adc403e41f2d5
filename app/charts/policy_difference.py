"""Two policies on the same states: how far apart they are over the rounds, and what each would do in one state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.compared_runs import DASHES, MARKED, SYMBOLS
from app.charts.theme import MARK, plain, style, theme


def over_rounds(
    lines: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]], measure: str, chosen: int | None, dark: bool
) -> go.Figure:
    """A measure of the difference at every common checkpoint, one line a run.

    Args:
        lines: label -> (k,) checkpoint numbers and (k,) means over the states.
        measure: title of the vertical axis.
        chosen: checkpoint of both chosen policies, marked; None where they are of two rounds.
        dark: theme.
    """
    colours, figure = theme(dark).series, go.Figure()
    for i, (label, (rounds, values)) in enumerate(lines.items(), 1):
        figure.add_scatter(
            x=rounds,
            y=values,
            mode="lines+markers" if len(rounds) <= MARKED else "lines",
            name=plain(label),
            line={"width": 2.2, "color": colours[i % len(colours)], "dash": DASHES[i % len(DASHES)]},
            marker={"size": 7, "symbol": SYMBOLS[i % len(SYMBOLS)]},
            hovertemplate=f"{plain(label)}<br>before round %{{x}}: %{{y:.4g}}<extra></extra>",
        )
    if chosen is not None:
        figure.add_vline(x=chosen, line={"color": MARK, "width": 1, "dash": "dash"})
    span = max((int(np.ptp(rounds)) for rounds, _ in lines.values() if len(rounds)), default=0)
    figure.update_layout(
        xaxis={"title": "before the update of round", "dtick": 1 if span <= 8 else None},  # no ticks between rounds
        yaxis={"title": measure, "rangemode": "tozero"},
        showlegend=True,
        dragmode="pan",
    )
    return style(figure, 320)


def two_distributions(
    actions: Sequence[str], first: NDArray[np.float64], second: NDArray[np.float64], labels: Sequence[str], dark: bool
) -> go.Figure:
    """pi(.|s) of two policies as bars; the second one is hatched.

    Args:
        actions: (m,) names.
        first: (m,) probabilities.
        second: (m,)
        labels: what the two policies are called.
        dark: theme.
    """
    colours, figure = theme(dark).series, go.Figure()
    for i, (label, values) in enumerate(zip(labels, (first, second), strict=True)):
        figure.add_bar(
            x=values,
            y=[plain(name) for name in actions],
            orientation="h",
            name=plain(label),
            marker={"color": colours[i], "pattern": {"shape": "/" if i else "", "fgcolor": colours[i], "fgopacity": 1}},
            text=[f"{value:.2f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"{plain(label)}<br>%{{y}}: %{{x:.4f}}<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        xaxis={"title": "π(a | s)", "range": [0, 1.15], "tickvals": [0, 0.5, 1]},
        yaxis={"autorange": "reversed"},
    )
    return style(figure, 150 + 48 * len(actions))


def two_gaussians(
    components: Sequence[str],
    means: Sequence[NDArray[np.float64]],
    deviations: Sequence[NDArray[np.float64]],
    labels: Sequence[str],
    dark: bool,
) -> go.Figure:
    """Mean and one standard deviation of every component of a continuous action, of two policies.

    Args:
        components: (d,) names.
        means: (d,) of each policy.
        deviations: (d,) of each policy.
        labels: what they are called.
        dark: theme.
    """
    colours, figure = theme(dark).series, go.Figure()
    place = np.arange(len(components))
    for i, label in enumerate(labels):
        figure.add_scatter(
            x=means[i],
            y=place + (0.12 if i else -0.12),
            error_x={"type": "data", "array": deviations[i], "thickness": 2, "width": 6},
            mode="markers",
            name=plain(label),
            marker={"size": 11, "symbol": SYMBOLS[i], "color": colours[i]},
            customdata=deviations[i],
            hovertemplate=f"{plain(label)}<br>%{{x:.3g}} ± %{{customdata:.3g}}<extra></extra>",
        )
    ticks = {"tickvals": place, "ticktext": [plain(name) for name in components]}
    figure.update_layout(
        xaxis_title="action, before it is clipped", yaxis={**ticks, "range": [len(components) - 0.5, -0.5]}
    )
    return style(figure, 140 + 60 * len(components))

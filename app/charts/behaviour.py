"""How a behaviour formed: pi(a|s) over rounds, and the records behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from app.charts.formation import OLD_MARKS, gaps, mark_phases, mark_round
from app.charts.theme import MARK, NUMBERS, influence_limit, plain, style, theme
from engine.analysis.formation import RoundFormation
from engine.analysis.phases import Stretch


def curve(
    rounds: NDArray[np.int64],
    probability: NDArray[np.float64],
    names: Sequence[str],
    action: int,
    record_round: int | None,
    stretches: Sequence[Stretch],
    dark: bool,
    chosen: int | None = None,
) -> go.Figure:
    """pi(a|s) of every action before each round's update; the chosen action is drawn heavily.

    Args:
        rounds: (k,) checkpoint numbers.
        probability: (k, m)
        names: (m,) names of the actions.
        action: the chosen one.
        record_round: where the record is from; None for a typed state.
        stretches: phases to shade.
        dark: theme.
        chosen: round that is marked: the one whose records are shown.
    """
    colours = theme(dark)
    figure = go.Figure()
    for i, name in enumerate(names):
        followed = i == action
        x, y = gaps(rounds.tolist(), probability[:, i])
        figure.add_scatter(
            x=x,
            y=y,
            customdata=[int(one) for one in x],
            name=plain(name) + (" (this action)" if followed else ""),
            mode="lines+markers",
            line={
                "color": colours.series[i % len(colours.series)],
                "width": 3 if followed else 1.2,
                "dash": "solid" if followed else "dot",
            },
            marker={"size": 7 if followed else 2},
            unselected=OLD_MARKS,
            selected={"marker": {"size": 12 if followed else 2}},
            hovertemplate=f"π({plain(name)} | s) = %{{y:.4f}}<extra></extra>",
        )
    if record_round is not None:
        figure.add_vline(
            x=record_round,
            line={"color": MARK, "width": 1, "dash": "dash"},
            annotation={"text": "the record's round", "font": {"size": 11}},
            annotation_position="top right",
        )
    mark_phases(figure, stretches)
    mark_round(figure, chosen, dark)
    figure.update_layout(
        xaxis={"title": "before the update of round", "hoverformat": "d"},
        yaxis={"title": "π(a | s)", "range": [-0.02, 1.12]},
        dragmode="pan",
        hovermode="x",
    )
    return style(figure, 360, NUMBERS)


def gaussian_curve(
    rounds: NDArray[np.int64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    names: Sequence[str],
    action: NDArray[np.float32],
    record_round: int | None,
    dark: bool,
    chosen: int | None = None,
) -> go.Figure:
    """Mean and standard deviation of every component of a continuous action before each round's update.

    Args:
        rounds: (k,) checkpoint numbers.
        mean: (k, d)
        deviation: (k, d) standard deviations.
        names: (d,) names of the components.
        action: (d,) the action taken, as a dashed line.
        record_round: where the record is from; None for a typed state.
        dark: theme.
        chosen: round that is marked: the one whose records are shown.
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
            customdata=rounds,
            text=[f"{value:.3g}" for value in deviation[:, j]],
            mode="lines+markers",
            line={"color": colour, "width": 2.5},
            marker={"size": 5},
            unselected=OLD_MARKS,
            selected={"marker": {"size": 11}},
            showlegend=False,
            hovertemplate=f"before round %{{x}}<br>{plain(name)} %{{y:.3g}} ± %{{text}}<extra></extra>",
            **place,
        )
        figure.add_hline(y=float(action[j]), line={"color": MARK, "width": 1, "dash": "dash"}, **place)
        figure.update_yaxes(title=plain(name), **place)
    if record_round is not None:
        figure.add_vline(x=record_round, line={"color": MARK, "width": 1, "dash": "dash"})
    mark_round(figure, chosen, dark, across_rows=True)
    figure.update_xaxes(title="before the update of round", row=len(names), col=1)
    figure.update_layout(dragmode="pan")
    return style(figure, max(320, 60 + 120 * len(names)))


def contributors(every: Sequence[RoundFormation], dark: bool, chosen: int | None = None) -> go.Figure:
    """The records of each round that pushed most: height is influence, a filled mark took the action; the round is marked."""
    colours = theme(dark)
    influence = np.array([value for item in every for value in item.influence], np.float32)
    same = np.array([value for item in every for value in item.same_action], bool)
    limit = influence_limit(influence)
    up = influence >= 0
    symbol = np.where(
        up, np.where(same, "triangle-up", "triangle-up-open"), np.where(same, "triangle-down", "triangle-down-open")
    )
    figure = go.Figure(
        go.Scatter(
            x=[item.round for item in every for _ in item.shown],
            y=influence,
            customdata=[f"{item.round}:{record}" for item in every for record in item.shown],
            mode="markers",
            marker={
                "color": influence,
                "colorscale": colours.diverging,
                "cmin": -limit,
                "cmax": limit,
                "size": 10 if len(every) <= 60 else 7,
                "symbol": symbol,
            },
            unselected=OLD_MARKS,
            selected={"marker": {"size": 15}},
            hovertemplate="round %{x}, record %{customdata}<br>influence %{y:+.3g}<extra></extra>",
        )
    )
    mark_round(figure, chosen, dark)
    figure.update_layout(xaxis_title="round", yaxis_title="influence on log π(a | s)", dragmode="pan", showlegend=False)
    return style(figure, 300, NUMBERS)

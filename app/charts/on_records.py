"""Where nothing was played: how the policies of the arms differ on the records of recorded rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.charts.comparison import SYMBOLS, arm_names
from app.charts.theme import MARK, style, theme

COLUMNS = 2
ROW_PIXELS = 230


def changes_on_records(result: Mapping[str, Any], names: Mapping[str, str], dark: bool) -> go.Figure:
    """A panel for each number: its change by the chosen records and by random ones, on the records of each round.

    Args:
        result: of an intervention in which nothing was played.
        names: of its numbers, and what people call them; those that it does not have get no panel.
        dark: theme.
    """
    shown = [name for name in names if any(name in on for on in result["by_round"])]
    titles = [names[name][0].upper() + names[name][1:] for name in shown]
    rows = -(-len(shown) // COLUMNS)
    figure = make_subplots(rows, COLUMNS, subplot_titles=titles, vertical_spacing=0.32 / rows, horizontal_spacing=0.12)
    for i, name in enumerate(shown):
        place = {"row": i // COLUMNS + 1, "col": i % COLUMNS + 1}
        for arm, nudge in (("counterfactual", -0.14), ("control", 0.14)):
            for trace in _arm(result, name, arm, nudge, dark):
                figure.add_trace(trace.update(showlegend=bool(trace.name) and i == 0), **place)
        figure.add_hline(y=0, line={"color": MARK, "width": 1}, **place)
    style(figure, 90 + ROW_PIXELS * rows)
    figure.update_xaxes(
        tickvals=list(range(len(result["by_round"]))),
        ticktext=[
            f"round {on['round']}" + ("<br>replayed" if i == 0 else "") for i, on in enumerate(result["by_round"])
        ],
        range=[-0.5, len(result["by_round"]) - 0.5],
        zeroline=False,
    )
    figure.update_annotations(font={"size": 13})
    figure.update_layout(legend={"y": 1 + 0.12 / rows}, margin={"t": 64})
    return figure


def _arm(result: Mapping[str, Any], name: str, arm: str, nudge: float, dark: bool) -> list[go.Scatter]:
    """The minibatch orders as small marks, and their mean with its interval."""
    names = arm_names(bool(result.get("repair")))
    colour = theme(dark).series[list(names).index(arm)]
    on = [(x + nudge, each[name]) for x, each in enumerate(result["by_round"]) if name in each]
    orders = [
        (x, a - b)
        for x, each in on
        for a, b in zip(each["order_values"][arm], each["order_values"]["original"], strict=True)
    ]
    means = [each[arm]["mean"] for _, each in on]
    lows, highs = ([each[arm][side] for _, each in on] for side in ("low", "high"))
    small = go.Scatter(
        x=[x for x, _ in orders],
        y=[change for _, change in orders],
        mode="markers",
        marker={"size": 5, "color": colour, "opacity": 0.5},
        hovertemplate="one minibatch order: %{y:+.3g}<extra></extra>",
    )
    large = go.Scatter(
        x=[x for x, _ in on],
        y=means,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [0.0 if high is None else high - mean for high, mean in zip(highs, means, strict=True)],
            "arrayminus": [0.0 if low is None else mean - low for low, mean in zip(lows, means, strict=True)],
            "thickness": 2,
            "width": 6,
        },
        mode="markers",
        marker={"size": 11, "symbol": SYMBOLS[arm], "color": colour},
        name=names[arm],
        hovertemplate=f"{names[arm]}<br>%{{y:+.3g}}<extra></extra>",
    )
    return [small, large]

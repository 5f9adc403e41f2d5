"""Campaigns: learning curves with bands over seeds, gains over PPO with intervals, and the choice of p."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import MARK, Theme, plain, style, theme

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot")
BANDS = {"all seeds": "from the lowest to the highest seed", "standard error": "one standard error to each side"}


def arm_colour(names: Sequence[str], name: str, colours: Theme) -> str:
    """The colour of an arm: the same in every chart of an experiment."""
    return colours.series[list(names).index(name) % len(colours.series)]


def curves(
    arms: Mapping[str, NDArray[np.float64]], names: Sequence[str], band: str, level: float | None, dark: bool
) -> go.Figure:
    """Mean test return over seeds after each round, with a band.

    Args:
        arms: name -> (seeds, rounds) test returns, NaN where a round was not evaluated.
        names: all arms of the experiment, which fixes the colours.
        band: a key of `BANDS`.
        level: the standard arm's highest mean, drawn as a line; None without it.
        dark: theme.
    """
    colours = theme(dark)
    figure = go.Figure()
    for name, values in arms.items():
        i = list(names).index(name)
        evaluated = ~np.isnan(values).all(axis=0)
        rounds, seen = np.flatnonzero(evaluated) + 1, values[:, evaluated]
        mean = seen.mean(axis=0)
        if band == "standard error":
            spread = seen.std(axis=0, ddof=1) / np.sqrt(len(seen)) if len(seen) > 1 else np.zeros_like(mean)
            low, high = mean - spread, mean + spread
        else:
            low, high = seen.min(axis=0), seen.max(axis=0)
        colour = arm_colour(names, name, colours)
        figure.add_scatter(
            x=np.concatenate([rounds, rounds[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor=_faint(colour),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
        figure.add_scatter(
            x=rounds,
            y=mean,
            mode="lines",
            name=plain(name),
            legendgroup=name,
            line={"color": colour, "width": 2.2, "dash": DASHES[i // len(colours.series) % len(DASHES)]},
            customdata=np.stack([low, high], axis=1),
            hovertemplate=(
                f"{plain(name)}<br>after round %{{x}}: %{{y:.3g}} (%{{customdata[0]:.3g}} to %{{customdata[1]:.3g}})"
                "<extra></extra>"
            ),
        )
    if level is not None:
        figure.add_hline(y=level, line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_layout(xaxis_title="rounds of training", yaxis_title="test return")
    return style(figure, 420)


def gains(table: pd.DataFrame, outcome: str, names: Sequence[str], dark: bool) -> go.Figure:
    """What each arm gains on PPO, with its 95 % interval; full marks exclude 0.

    Args:
        table: rows of `summary` with a gain.
        outcome: `se_sym`, in per cent fewer rounds; or `final` or `area`, the difference of interquartile means.
        names: all arms of the experiment.
        dark: theme.
    """
    colours = theme(dark)
    column, scale, unit = (
        (outcome, 100, "% fewer rounds than PPO")
        if outcome == "se_sym"
        else (f"{outcome}_gain", 1, "difference from PPO")
    )
    figure = go.Figure()
    for _, row in table.iloc[::-1].iterrows():
        value, low, high = (scale * row[f"{column}{end}"] for end in ("", "_low", "_high"))
        clear = low > 0 or high < 0
        interval = "one seed" if np.isnan(low) else f"{low:+.3g} to {high:+.3g}"
        figure.add_scatter(
            x=[value],
            y=[plain(row["arm"])],
            error_x={"type": "data", "symmetric": False, "array": [high - value], "arrayminus": [value - low]},
            mode="markers",
            marker={
                "size": 11,
                "symbol": "circle" if clear else "circle-open",
                "color": arm_colour(names, row["arm"], colours),
            },
            showlegend=False,
            hovertemplate=f"{plain(row['arm'])}: {value:+.3g} ({interval})<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": MARK, "width": 1, "dash": "dash"})
    figure.update_layout(xaxis_title=unit)
    return style(figure, 110 + 28 * len(table))


def choice_of_p(table: pd.DataFrame, metric: str, paper: float | None, dark: bool) -> go.Figure:
    """An efficiency by the share p of the negative records that is dropped, one line a filter.

    Args:
        table: columns `filter`, `p`, and the metric with its `_low` and `_high`, or else its `_error`, as `summary` has them (a
            share, not per cent).
        metric: `se_sym`, `se_ave`, `se_peak` or `rt_peak`.
        paper: what the paper reports, in per cent.
        dark: theme.
    """
    colours = theme(dark)
    figure = go.Figure()
    for i, (name, rows) in enumerate(table.groupby("filter", sort=False)):
        figure.add_scatter(
            x=rows["p"],
            y=100 * rows[metric],
            error_y={"type": "data", "symmetric": False, **_reach(rows, metric)},
            mode="lines+markers",
            name=plain(name),
            line={"color": colours.series[i], "width": 2},
            marker={"size": 10, "symbol": SYMBOLS[i % len(SYMBOLS)]},
            hovertemplate=f"{plain(name)}, p = %{{x}}: %{{y:.1f}} %<extra></extra>",
        )
    figure.add_hline(y=0, line={"color": MARK, "width": 1})
    if paper is not None:
        figure.add_hline(y=paper, line={"color": MARK, "width": 1, "dash": "dash"}, annotation_text="paper")
    ticks: list[Any] = sorted(set(table["p"]))
    figure.update_layout(
        xaxis={"title": "p, the share of the negative records that is dropped", "type": "log", "tickvals": ticks},
        yaxis_title="% fewer than PPO",
    )
    figure.update_xaxes(ticktext=[f"{p:g}" for p in ticks])
    return style(figure, 340)


def _reach(rows: pd.DataFrame, metric: str) -> Mapping[str, pd.Series]:
    """How far the bars of an efficiency go up and down, in per cent."""
    if f"{metric}_low" not in rows:
        error = 100 * rows[f"{metric}_error"].fillna(0)
        return {"array": error, "arrayminus": error}
    low, high = (rows[f"{metric}_{end}"].fillna(rows[metric]) for end in ("low", "high"))
    return {"array": 100 * (high - rows[metric]), "arrayminus": 100 * (rows[metric] - low)}


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"

"""The bottom records beside the rest: effect sizes, and what influence goes with."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import MARK, label_pixels, plain, style, theme
from engine.analysis.diagnosis import Trait
from engine.intervals import Interval

LINE = 46
"""Characters of a sentence beside its bar before it goes on in the next line."""


def effect_sizes(traits: Sequence[Trait], dark: bool) -> go.Figure:
    """A bar a trait, as long as its effect size, the sentence beside it; `customdata` is its position in `traits`.

    Traits whose direction is not certain are outlined.
    """
    colours = theme(dark)
    colour = colours.series[2]
    figure = go.Figure(
        go.Bar(
            x=[trait.delta for trait in traits],
            y=[_wrapped(trait.sentence) for trait in traits],
            orientation="h",
            customdata=list(range(len(traits))),
            marker={
                "color": [colour if trait.certain else "rgba(0,0,0,0)" for trait in traits],
                "line": {"color": colour, "width": 1.5},
            },
            error_x=_reach([Interval(trait.delta, trait.low, trait.high) for trait in traits]),
            text=[_spoken(trait.delta, trait.low, trait.high) for trait in traits],
            textposition="none",
            hovertemplate="%{y}<br>effect size %{text}<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={"title": "effect size: less ← bottom records have → more", "range": [-1.03, 1.03], "dtick": 0.5},
        yaxis={"autorange": "reversed", "tickfont": {"size": 13}, "ticklabelstandoff": 6},
        bargap=0.35,
        dragmode=False,
    )
    lines = sum(1 + _wrapped(trait.sentence).count("<br>") for trait in traits)
    return style(figure, 90 + 14 * len(traits) + 17 * lines, label_pixels(figure.data[0].y))


def rank_correlations(found: Mapping[str, Interval], dark: bool) -> go.Figure:
    """A mark a field: its rank correlation with influence, with its interval; strongest first."""
    colours = theme(dark)
    names = sorted(found, key=lambda name: -abs(found[name].value))
    intervals = [found[name] for name in names]
    clear = [each.low > 0 or each.high < 0 for each in intervals]
    figure = go.Figure(
        go.Scatter(
            x=[each.value for each in intervals],
            y=[plain(name) for name in names],
            mode="markers",
            marker={
                "color": colours.series[2],
                "size": 10,
                "symbol": ["circle" if is_clear else "circle-open" for is_clear in clear],
                "line": {"width": 1.5},
            },
            error_x=_reach(intervals),
            text=[_spoken(*each) for each in intervals],
            hovertemplate="%{y}<br>rank correlation %{text}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": MARK, "width": 1})
    figure.update_layout(
        xaxis={"title": "rank correlation with influence", "range": [-1.03, 1.03], "dtick": 0.5},
        yaxis={"autorange": "reversed", "tickfont": {"size": 12}, "ticklabelstandoff": 6},
        dragmode=False,
    )
    return style(figure, 90 + 24 * len(names), label_pixels(figure.data[0].y))


def advantages(
    recorded: NDArray[np.float64],
    estimated: NDArray[np.float64],
    error: NDArray[np.float64],
    record: NDArray[np.int64],
    at_bottom: NDArray[np.bool_],
    dark: bool,
) -> go.Figure:
    """A-bar against A-hat, a mark a record with A-bar's standard error; in the tinted quarters their signs differ.

    Args:
        recorded: (m,) A-hat.
        estimated: (m,) A-bar.
        error: (m,) its standard error.
        record: (m,) record numbers, the marks' `customdata`.
        at_bottom: (m,) whether each is a bottom record.
        dark: theme.
    """
    colours = theme(dark)
    figure = go.Figure()
    for name, chosen, colour, symbol, size in (
        ("the rest", ~at_bottom, colours.series[6], "circle", 6),
        ("bottom records", at_bottom, colours.hurts, "triangle-down", 10),
    ):
        figure.add_scatter(
            x=recorded[chosen],
            y=estimated[chosen],
            error_y={"type": "data", "array": error[chosen], "thickness": 1, "width": 0, "color": colour},
            mode="markers",
            name=name,
            customdata=record[chosen],
            marker={"color": colour, "symbol": symbol, "size": size, "opacity": 0.7},
            text=[f"{value:.2g}" for value in error[chosen]],
            hovertemplate="record %{customdata}<br>A-hat %{x:+.3g}<br>A-bar %{y:+.3g} ± %{text}<extra></extra>",
        )
    across, up = 1.08 * float(np.abs(recorded).max()) or 1.0, 1.08 * float((np.abs(estimated) + error).max()) or 1.0
    for x, y in ((-across, up), (across, -up)):
        figure.add_shape(
            type="rect", x0=0, y0=0, x1=x, y1=y, layer="below", line={"width": 0}, fillcolor="rgba(211, 84, 0, 0.10)"
        )
        figure.add_annotation(
            x=x, y=y, text="wrong sign", showarrow=False, font={"size": 12}, borderpad=4,
            xanchor="left" if x < 0 else "right", yanchor="top" if y > 0 else "bottom",
        )  # fmt: skip
    end = min(across, up)
    figure.add_shape(type="line", x0=-end, y0=-end, x1=end, y1=end, line={"color": MARK, "width": 1, "dash": "dot"})
    figure.update_layout(
        xaxis={"title": "A-hat, the recorded advantage", "range": [-across, across]},
        yaxis={"title": "A-bar, by rollouts", "range": [-up, up]},
        dragmode="pan",
    )
    return style(figure, 440)


def _reach(intervals: Sequence[Interval]) -> dict[str, object]:
    """Error bars to both ends; none where there is no interval."""
    ends = [(each.high - each.value, each.value - each.low) for each in intervals]
    above, below = ([0.0 if math.isnan(pair[side]) else max(0.0, pair[side]) for pair in ends] for side in (0, 1))
    return {"type": "data", "array": above, "arrayminus": below, "thickness": 1.5, "width": 4, "color": MARK}


def _spoken(value: float, low: float, high: float) -> str:
    return f"{value:+.2f}, " + ("no interval" if math.isnan(low) else f"interval {low:+.2f} to {high:+.2f}")


def _wrapped(sentence: str) -> str:
    head, colon, rest = sentence.partition(": ")
    parts = [head + ":", rest] if colon and len(sentence) > LINE else [sentence]
    return "<br>".join(plain(line) for part in parts for line in textwrap.wrap(part, LINE))

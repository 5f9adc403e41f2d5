"""A run over its rounds: the return, marks below it, and the update's metrics, all over one axis with one cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.envelope import COLUMNS, Envelope, Numbers, column_edges, envelope
from app.charts.incidents import ROW, Marks, add_marks
from app.charts.theme import MARK, NUMBERS, faint, label_pixels, plain, style, theme
from engine.analysis.compared_runs import smooth

LOSSES = {
    "value_loss": "value loss",
    "policy_gradient_loss": "policy loss",
    "entropy": "entropy",
    "approx_kl": "approximate KL",
    "clip_fraction": "clip fraction",
    "explained_variance": "explained variance",
    "dropped": "records dropped by the filter",
    "repaired": "records repaired by the filter",
    "mean_kl": "KL to the reference",
    "validation_reward": "reward of held-out prompts",
    "reward/judge": "share of rude responses",
    "truncated": "share of responses cut off",
}
"""Metric -> title; those of language models come last."""
RETURN, SPREAD = "mean_return", "std_return"

MARKED = 120
"""Rounds that have a mark each, if they are no more; of a long run those with records."""
DISCS = 60
"""Marks that are large, if they are no more."""
UNSEEN = {"opacity": 0, "maxdisplayed": 1}
"""Marks that a click finds though nobody sees them: one of them is put into the page, since hundreds take most of the time."""

RETURN_PIXELS, GAP, AXIS, TITLE, PANEL = 250, 14, 46, 24, 62
"""Of the panel of returns; between it and the marks below; of the axis of rounds; above and of every other panel."""


@dataclass(frozen=True, eq=False)
class Rounds:
    """What the rounds of a run say."""

    numbers: NDArray[np.int64]
    """(n,) consecutive."""
    metrics: Mapping[str, Numbers]
    """Name -> (n,) values, NaN where a round has none."""
    stored: NDArray[np.bool_]
    """(n,) whether the round's records are there."""
    chosen: int | None = None
    what: str = "return"
    """Of a language model's responses: reward."""

    def within(self, first: int, last: int) -> Rounds:
        """The rounds from `first` to `last`."""
        shown = (self.numbers >= first) & (self.numbers <= last)
        metrics = {name: values[shown] for name, values in self.metrics.items()}
        return Rounds(self.numbers[shown], metrics, self.stored[shown], self.chosen, self.what)

    @cached_property
    def titles(self) -> dict[str, str]:
        """Metric -> title of its panel, of those that have a value; the return comes first and is always there."""
        there = {name: LOSSES[name] for name in LOSSES if np.isfinite(self.metrics.get(name, np.zeros(0))).any()}
        return {RETURN: f"mean {self.what}", **there}


@dataclass(frozen=True)
class Axes:
    """How the reader wants the curves."""

    smoothing: float = 0.0
    """Weight of the past in an exponential moving average, in [0, 1)."""
    steps: int = 0
    """Environment steps of a round, where these are to be counted across; 0 for rounds."""
    log: bool = False
    """Logarithms upwards, in panels where all is above 0."""

    def at(self, round: Any) -> Any:
        """Where a round, or each of an array of them, is on the axis across: at its number, or the steps made by its end."""
        return (round + 1) * self.steps if self.steps else round


@dataclass(frozen=True, eq=False)
class _Panel:
    """One of the charts below one another."""

    name: str
    title: str
    yaxis: str
    values: Numbers
    """(n,)"""
    measured: Envelope
    line: Envelope
    """What is drawn: smoothed, if the reader wants that."""


def curves(rounds: Rounds, marks: Marks, axes: Axes, dark: bool) -> go.Figure:
    """All curves over one axis: the pointer reads every one of them at the same round, and the chosen round is marked in all.

    A mark at a round carries its number as `customdata`; see `add_marks` for those in the strip. Of more rounds than
    `COLUMNS` a line goes through the means of columns of rounds, with a band from the lowest to the highest; the chosen
    round, those of incidents and removals, and those with records, if they are few, are drawn where they are.
    """
    colours, figure = theme(dark), go.Figure()
    edges = column_edges(rounds.numbers)
    own = _own(rounds, marks) if len(edges) < len(rounds.numbers) else np.zeros(0, np.int64)
    for i, (name, title) in enumerate(rounds.titles.items()):
        values = rounds.metrics.get(name, np.full(len(rounds.numbers), np.nan))
        measured = envelope(rounds.numbers, values, edges)
        line = envelope(rounds.numbers, smooth(values, axes.smoothing), edges) if axes.smoothing else measured
        panel = _Panel(name, plain(title), f"y{i + 2 if i else ''}", values, measured, line)
        _add_band(figure, rounds, panel, axes, colours.series[0])
        _add_line(figure, rounds, panel, axes, colours.series[0])
        _add_own(figure, rounds, panel, axes, colours.series[0], own if name == RETURN else own[own == rounds.chosen])
    if rounds.chosen is not None:
        across = {"xref": "x", "x0": axes.at(rounds.chosen), "x1": axes.at(rounds.chosen)}
        figure.add_shape(
            type="line", yref="paper", y0=0, y1=1, line={"color": MARK, "width": 1.5, "dash": "dash"}, **across
        )
    if marks.rows:
        add_marks(figure, marks, axes.at, colours)
    return _laid_out(figure, rounds, marks, axes, len(edges))


def _own(rounds: Rounds, marks: Marks) -> NDArray[np.int64]:
    """Rounds that are seen for themselves however many there are, in order."""
    few = rounds.numbers[rounds.stored].tolist() if rounds.stored.sum() <= MARKED else []
    chosen = [] if rounds.chosen is None else [rounds.chosen]
    seen = {*few, *chosen, *(each.onset for each in marks.incidents), *(each.round for each in marks.removals)}
    return rounds.numbers[np.isin(rounds.numbers, list(seen))]


def _add_band(figure: go.Figure, rounds: Rounds, panel: _Panel, axes: Axes, colour: str) -> None:
    """From the lowest to the highest round of a column; of single rounds, a standard deviation to either side of the return."""
    measured, low, high = panel.measured, panel.measured.low, panel.measured.high
    if panel.name == RETURN and not axes.smoothing and (measured.first == measured.last).all():
        spread = np.nan_to_num(rounds.metrics.get(SPREAD, np.zeros(len(panel.values))))
        spread = spread[np.isin(rounds.numbers, measured.first)]
        low, high = low - spread, high + spread
    if not (low < high).any():
        return
    across = axes.at(measured.at)
    figure.add_scatter(
        x=np.concatenate([across, across[::-1]]),
        y=np.concatenate([low, high[::-1]]),
        yaxis=panel.yaxis,
        mode="lines",
        line={"width": 0},
        fill="toself",
        connectgaps=True,  # where a logarithm has no place for the lower bound the outline stays one
        fillcolor=faint(colour),
        hoverinfo="skip",
        showlegend=False,
    )


def _add_line(figure: go.Figure, rounds: Rounds, panel: _Panel, axes: Axes, colour: str) -> None:
    """The line; where it is smoothed, also a faint one as measured."""
    line = panel.line
    if axes.smoothing:
        figure.add_scatter(
            x=axes.at(line.at),
            y=panel.measured.mean,
            yaxis=panel.yaxis,
            mode="lines",
            line={"width": 1, "color": colour},
            opacity=0.45,
            hoverinfo="skip",
            showlegend=False,
        )
    clicked = _clicked(rounds, line)
    discs = panel.name == RETURN and len(rounds.numbers) <= MARKED
    figure.add_scatter(
        x=axes.at(line.at),
        y=line.mean,
        yaxis=panel.yaxis,
        mode="lines+markers",
        name=panel.name,
        customdata=clicked,
        line={"color": colour, "width": 2 if panel.name == RETURN else 1.6},
        marker=_marker(rounds, clicked, colour) if discs else UNSEEN,
        hovertext=_texts(panel, axes),
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )


def _add_own(figure: go.Figure, rounds: Rounds, panel: _Panel, axes: Axes, colour: str, own: NDArray[np.int64]) -> None:
    """Marks of rounds that are drawn for themselves, beside a line through means."""
    shown = own[np.isin(own, rounds.numbers[np.isfinite(panel.values)])]
    if not len(shown):
        return
    y = panel.values[np.searchsorted(rounds.numbers, shown)]
    figure.add_scatter(
        x=axes.at(shown),
        y=y,
        yaxis=panel.yaxis,
        mode="markers",
        name=f"{panel.name} of single rounds",
        customdata=shown,
        marker=_marker(rounds, shown, colour),
        hovertext=[f"{panel.title} {value:.4g} in round {k}" for k, value in zip(shown, y, strict=True)],
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )


def _clicked(rounds: Rounds, line: Envelope) -> NDArray[np.int64]:
    """The round that each point stands for: the last one of its column that has records, or else the first one."""
    stored = rounds.numbers[rounds.stored]
    if not len(stored):
        return line.first
    last = stored[(np.searchsorted(stored, line.last, "right") - 1).clip(0)]
    return np.where((last >= line.first) & (last <= line.last), last, line.first)


def _marker(rounds: Rounds, numbers: NDArray[np.int64], colour: str) -> dict[str, object]:
    """Discs at rounds with records, rings at others."""
    stored = np.isin(numbers, rounds.numbers[rounds.stored])
    return {
        "size": 9 if len(numbers) <= DISCS else 6,
        "symbol": ["circle" if each else "circle-open" for each in stored],
        "color": colour,
    }


def _texts(panel: _Panel, axes: Axes) -> list[str]:
    """What the cursor reads of a panel at each point."""
    line, measured = panel.line, panel.measured
    texts = [f"{panel.title} {value:.4g}" for value in line.mean]
    if axes.smoothing:
        texts = [f"{text}, as measured {value:.4g}" for text, value in zip(texts, measured.mean, strict=True)]
    stretches = [
        f" ({low:.4g} to {high:.4g} in rounds {first} to {last})" if first < last else ""
        for first, last, low, high in zip(line.first, line.last, measured.low, measured.high, strict=True)
    ]
    return [text + stretch for text, stretch in zip(texts, stretches, strict=True)]


def _laid_out(figure: go.Figure, rounds: Rounds, marks: Marks, axes: Axes, columns: int) -> go.Figure:
    """One panel below the other, the axis of rounds below the return and its marks."""
    strip = GAP + ROW * len(marks.rows) if marks.rows else 0
    others = list(rounds.titles)[1:]
    drawn = RETURN_PIXELS + strip + AXIS + (TITLE + PANEL) * len(others)

    def domain(top: float, pixels: float) -> list[float]:
        return [max(1 - (top + pixels) / drawn, 0.0), 1 - top / drawn]

    layout = figure.layout
    figure.update_yaxes(fixedrange=True)
    layout.yaxis.domain = domain(0, RETURN_PIXELS)
    layout.yaxis.title = {"text": plain(rounds.titles[RETURN])}
    if marks.rows:
        layout.yaxis2.domain = domain(RETURN_PIXELS + GAP, strip - GAP)
    top, titles = float(RETURN_PIXELS + strip + AXIS), []
    for i, name in enumerate(others, start=3):
        place = {"xref": "paper", "yref": "paper", "x": 0, "y": 1 - top / drawn, "xanchor": "left", "yanchor": "top"}
        titles.append({"text": plain(rounds.titles[name]), "showarrow": False} | place)
        layout[f"yaxis{i}"] = {"domain": domain(top + TITLE, PANEL), "anchor": "x", "fixedrange": True, "nticks": 4}
        top += TITLE + PANEL
    layout.annotations = [*layout.annotations, *titles]
    for name, i in zip(rounds.titles, ("", *range(3, 3 + len(others))), strict=True):
        values = rounds.metrics.get(name, np.zeros(0))
        if axes.log and (values[np.isfinite(values)] > 0).all():
            layout[f"yaxis{i}"].type = "log"
    layout.xaxis = {
        "title": "environment steps" if axes.steps else "round",
        "range": axes.at(rounds.numbers[[0, -1]] + np.array([-0.5, 0.5])).tolist(),
        "anchor": "y2" if marks.rows else "y",
        "showspikes": True,
        "spikemode": "across",
        "spikethickness": 1,
        "spikedash": "solid",
        "spikecolor": MARK,
        "unifiedhovertitle": {"text": "%{x:,.0f} environment steps" if axes.steps else "round %{x:.0f}"},
    }
    layout.hovermode, layout.hoversubplots = "x unified", "axis"
    layout.hoverdistance = 800 // max(columns, 1) + 3  # half of the pixels between two rounds
    layout.dragmode = "zoom"
    style(figure, drawn + 24 + 8, max(NUMBERS, label_pixels(marks.rows)))
    layout.margin.b, layout.xaxis.exponentformat, layout.xaxis.separatethousands = 8, "none", True
    layout.hoverlabel = {"align": "left", "font": {"size": 12}}
    layout.legend.traceorder = "normal"  # of what the cursor reads; with bands Plotly would turn it round
    return figure


def how_it_is_drawn(rounds: Rounds, axes: Axes, episodes: str) -> str:
    """What line, band and marks of the return are, in a sentence or two; `episodes` is what the kind of run calls them."""
    n, stored = len(rounds.numbers), int(rounds.stored.sum())
    said = f"Line: mean; band: one standard deviation between {episodes}. "
    if n > COLUMNS:
        said = "Line: mean over the rounds behind each pixel or two; band: from the lowest of them to the highest. "
    elif axes.smoothing:
        said = "Line: mean. "
    if axes.smoothing:
        said += f"Smoothed with weight {axes.smoothing:g}; the faint line is as measured. "
    if not stored:
        return f"{said}Only the metrics of these rounds are kept."
    said += (
        "Click a mark to choose its round."
        if stored == n
        else "Filled marks have records: click one to choose the round."
    )
    return said if stored == n else f"{said} Records are kept of {stored:,} of {n:,} rounds."


def table(rounds: Rounds) -> dict[str, Sequence[float]]:
    """The numbers behind the curves, a column a panel."""
    return {
        "round": rounds.numbers.tolist(),
        **{title: rounds.metrics.get(name, np.zeros(0)).tolist() for name, title in rounds.titles.items()},
    }

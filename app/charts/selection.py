"""The selected records against the rest: by influence, over time, by what they are. Marks carry the number of their group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import MARK, NUMBERS, PALE, Theme, label_pixels, plain, style, theme

HEIGHT = 230
BINS = 48


def influence_bins(influence: NDArray[np.float32]) -> NDArray[np.float64]:
    """(k + 1,) edges, symmetric about 0 and up to the largest |I|; 0 is an edge."""
    limit = float(np.abs(influence[np.isfinite(influence)]).max(initial=0)) or 1.0
    return np.linspace(-limit, limit, BINS + 1)


def value_bins(values: NDArray[Any]) -> NDArray[np.float64]:
    """(k + 1,) edges over a field of whole numbers, such as the step; one bin a value where there are few."""
    low, high = int(values.min()), int(values.max())
    width = -(-(high - low + 1) // BINS)
    return np.arange(low, high + 1 + width, width, dtype=np.float64) - 0.5


def bin_of(values: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) which bin each value lies in, -1 for what is no number; the last one holds its upper edge, too."""
    return np.where(np.isnan(values), -1, np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2))


def influence_histogram(
    influence: NDArray[np.float32], selected: NDArray[np.bool_], dark: bool, pale: bool = False
) -> go.Figure:
    """How many records have which influence, and how many of them are selected; counts on a logarithmic axis.

    Args:
        influence: (n,)
        selected: (n,)
        dark: theme.
        pale: whether the influence must not look sure.
    """
    edges = influence_bins(influence)
    at = bin_of(influence, edges)
    counts = [np.bincount(at[chosen], minlength=len(edges) - 1) for chosen in (at >= 0, selected & (at >= 0))]
    hover = "influence %{x:+.3g}<br>%{y} records"
    figure = _bars(edges, counts, bool(selected.any()), hover, dark, pale)
    figure.update_layout(
        xaxis_title="influence",
        yaxis={"title": "records", "type": "log", "range": [-0.3, None], "dtick": 1, "tickformat": ","},
    )
    return style(figure, HEIGHT, NUMBERS)


def influence_over(
    field: str,
    values: NDArray[Any],
    influence: NDArray[np.float32],
    selected: NDArray[np.bool_],
    dark: bool,
    pale: bool = False,
) -> go.Figure:
    """Summed influence over a field of whole numbers, of all records and of the selected ones.

    Args:
        field: name of the field.
        values: (n,) of it.
        influence: (n,)
        selected: (n,)
        dark: theme.
        pale: whether the influence must not look sure.
    """
    edges = value_bins(values)
    at = bin_of(values, edges)
    sums = [np.bincount(at, np.where(chosen, influence, 0), len(edges) - 1) for chosen in (selected | True, selected)]
    figure = _bars(
        edges, sums, bool(selected.any()), f"{plain(field)} %{{x:.0f}}<br>summed influence %{{y:+.3g}}", dark, pale
    )
    figure.add_hline(y=0, line={"color": MARK, "width": 1})
    figure.update_layout(xaxis_title=plain(field), yaxis_title="summed influence")
    return style(figure, HEIGHT, NUMBERS)


def composition(
    names: Sequence[str], groups: Sequence[NDArray[np.bool_]], selected: NDArray[np.bool_], dark: bool
) -> go.Figure:
    """Which share of the selected records, and which share of the rest, belongs to each group.

    Args:
        names: of the groups.
        groups: (n,) each, which records belong to it.
        selected: (n,)
        dark: theme.
    """
    colours = theme(dark)
    y = [plain(name) for name in names]
    figure = go.Figure()
    some = bool(selected.any())
    sides = (("selected", selected), ("the rest", ~selected)) if some else (("all records", ~selected),)
    for name, side in sides:
        shares = [float(group[side].mean()) if side.any() else 0.0 for group in groups]
        figure.add_bar(
            name=name,
            y=y,
            x=shares,
            orientation="h",
            customdata=list(range(len(names))),
            text=[f"{share:.0%}" for share in shares],
            textposition="outside",
            textfont={"size": 10},
            constraintext="none",
            cliponaxis=False,
            marker=_mark(colours, name == "selected"),
            hovertemplate=f"%{{y}}: %{{x:.1%}} of {name}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"range": [0, 1.15], "tickformat": ".0%", "tickvals": [0, 0.5, 1], "fixedrange": True, "showgrid": False},
        yaxis={"autorange": "reversed", "fixedrange": True},
        dragmode=False,
        bargap=0.12,
        bargroupgap=0.05,
    )
    return style(figure, HEIGHT, label_pixels(y))


def _bars(
    edges: NDArray[np.float64], heights: Sequence[NDArray[Any]], some: bool, hover: str, dark: bool, pale: bool
) -> go.Figure:
    """Bars of all records, and over them those of the selected ones."""
    colours = theme(dark)
    figure = go.Figure()
    for name, height in zip(("all records", "selected"), heights, strict=True):
        if name == "all records" or some:
            figure.add_bar(
                name=name,
                x=(edges[:-1] + edges[1:]) / 2,
                y=height,
                width=np.diff(edges) * (0.95 if name == "all records" else 0.6),
                customdata=np.arange(len(height)),
                marker=_mark(colours, name == "selected"),
                opacity=PALE if pale else 1.0,
                showlegend=some,
                hovertemplate=f"{hover}<extra>{name}</extra>",
                unselected={"marker": {"opacity": 0.4}},
            )
    figure.update_layout(barmode="overlay", bargap=0, dragmode="select", selectdirection="h")
    return figure


def _mark(colours: Theme, selected: bool) -> dict[str, Any]:
    """Selected bars are filled, the others outlined and pale."""
    if selected:
        return {"color": colours.selected, "line": {"width": 0}}
    return {"color": colours.neutral, "line": {"color": MARK, "width": 1}}

"""Which actions' records pushed the return, over the rounds of a run: a column a round, or a stretch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import label_pixels, plain, style, theme

COLUMNS = 160
"""Of the map, at most."""
SIGNED = 400
"""Cells up to which each shows its sign."""
TITLE_PIXELS = 40

Shares = Mapping[int, Sequence[float]]
"""Round -> summed influence by action, as a share of the round's sum of |influence|."""


def stretches(rounds: Sequence[int], most: int = COLUMNS) -> list[list[int]]:
    """Rounds in at most so many stretches of about the same length.

    >>> stretches([0, 1, 2, 5, 9], 2)
    [[0, 1, 2], [5, 9]]
    """
    count = min(most, len(rounds))
    return [part.tolist() for part in np.array_split(np.array(rounds, np.int64), count)] if count else []


def formation_map(
    columns: Sequence[Sequence[int]], shares: Shares, names: Sequence[str], chosen: int | None, dark: bool
) -> go.Figure:
    """Columns x actions, coloured by the mean share of the rounds that are known; the chosen round's column has a frame.

    Args:
        columns: rounds of each column.
        shares: of the rounds that are known. A column without any is blank.
        names: of the actions.
        chosen: round.
        dark: theme.
    """
    colours, labels = theme(dark), [plain(name) for name in names]
    known = [[round for round in column if round in shares] for column in columns]
    of_column = [np.mean([shares[k] for k in found], 0) if found else np.full(len(names), np.nan) for found in known]
    table: NDArray[np.float64] = np.array(of_column, np.float64).reshape(len(columns), len(names)).T
    size = np.abs(table[np.isfinite(table)])
    limit = float(size.max(initial=0)) or 1.0
    signs = np.where(np.isnan(table), "", np.where(table > 0, "+", "−")) if table.size <= SIGNED else None
    across = [str(column[0]) for column in columns]
    figure = go.Figure(
        go.Heatmap(
            x=across,
            y=labels,
            z=table,
            zmin=-limit,
            zmax=limit,
            colorscale=colours.diverging,
            text=signs,
            texttemplate=None if signs is None else "%{text}",
            colorbar={"title": {"text": "share of influence", "side": "right"}, "thickness": 10, "outlinewidth": 0},
            customdata=[[_in_words(column, found) for column, found in zip(columns, known, strict=True)]] * len(names),
            hovertemplate="%{customdata}<br>%{y}: %{z:+.3f} of the total |influence|<extra></extra>",
            hoverongaps=False,
            xgap=1 if len(columns) <= COLUMNS // 2 else 0,
            ygap=1,
        )
    )
    clickable = [(x, name, found[-1]) for x, found in zip(across, known, strict=True) if found for name in labels]
    figure.add_scatter(
        x=[x for x, _, _ in clickable],
        y=[name for _, name, _ in clickable],
        customdata=[chosen if chosen in _column_of(columns, last) else last for _, _, last in clickable],
        mode="markers",
        marker={"symbol": "square", "size": 16, "color": "rgba(0,0,0,0)"},
        hoverinfo="none",
        showlegend=False,
    )
    for i, column in enumerate(columns):
        if chosen in column:
            ends = {"x0": i - 0.5, "x1": i + 0.5, "y0": -0.5, "y1": len(names) - 0.5}
            figure.add_shape(type="rect", line={"color": colours.text, "width": 2}, **ends)
    figure.update_layout(
        xaxis={
            "title": "round" if len(columns) == sum(map(len, columns)) else "first round of each column",
            "type": "category",
            "range": [-0.5, len(columns) - 0.5],
            "nticks": 25,
        },
        dragmode="pan",
    )
    return style(figure, 120 + 42 * len(names), label_pixels(labels) + TITLE_PIXELS)


def _column_of(columns: Sequence[Sequence[int]], round: int) -> Sequence[int]:
    return next(column for column in columns if column[0] <= round <= column[-1])


def _in_words(column: Sequence[int], known: Sequence[int]) -> str:
    if len(column) == 1:
        return f"round {column[0]}"
    of = f"mean of {len(known)}" if len(known) != 1 else f"round {known[0]}"
    return f"rounds {column[0]} to {column[-1]} ({of})"

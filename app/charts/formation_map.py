"""Which actions' records pushed the return, over the rounds of a run: a column a round, or a stretch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.signed_map import signed_map
from app.charts.theme import label_pixels, plain, style

COLUMNS = 160
"""Of the map, at most."""
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
    labels = [plain(name) for name in names]
    known = [[round for round in column if round in shares] for column in columns]
    of_column = [np.mean([shares[k] for k in found], 0) if found else np.full(len(names), np.nan) for found in known]
    table: NDArray[np.float64] = np.array(of_column, np.float64).reshape(len(columns), len(names)).T
    across = [str(column[0]) for column in columns]
    figure = signed_map(
        table,
        across,
        labels,
        [
            (x, name, chosen if chosen in column else found[-1])
            for x, column, found in zip(across, columns, known, strict=True)
            if found
            for name in labels
        ],
        next((i for i, column in enumerate(columns) if chosen in column), None),
        dark,
        customdata=[[_in_words(column, found) for column, found in zip(columns, known, strict=True)]] * len(names),
        hovertemplate="%{customdata}<br>%{y}: %{z:+.3f} of the total |influence|<extra></extra>",
        hoverongaps=False,
        xgap=1 if len(columns) <= COLUMNS // 2 else 0,
    )
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


def _in_words(column: Sequence[int], known: Sequence[int]) -> str:
    if len(column) == 1:
        return f"round {column[0]}"
    of = f"mean of {len(known)}" if len(known) != 1 else f"round {known[0]}"
    return f"rounds {column[0]} to {column[-1]} ({of})"

"""A map of rounds across and groups of records up, coloured and signed by influence, whose cells can be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.colours import ink
from app.charts.theme import Theme, theme

SIGNED = 400
"""Cells up to which each shows its sign."""
CHOSEN = "the chosen round"
"""What its mark is called."""


def signed_map(
    table: NDArray[np.float64],
    across: Sequence[str],
    names: Sequence[str],
    cells: Sequence[tuple[str, str, Any]],
    chosen: int | None,
    dark: bool,
    **look: Any,
) -> go.Figure:
    """The map, without its layout.

    Args:
        table: (names, across); NaN is blank.
        across: names of the columns.
        names: of the rows.
        cells: across, name and custom data of those that can be clicked.
        chosen: column with a frame.
        dark: theme.
        look: further properties of the heat map.
    """
    colours, limit = theme(dark), float(np.abs(table[np.isfinite(table)]).max(initial=0.0)) or 1.0
    figure = go.Figure(
        go.Heatmap(
            x=across,
            y=names,
            z=table,
            zmin=-limit,
            zmax=limit,
            colorscale=colours.diverging,
            colorbar={"title": {"text": "share of influence", "side": "right"}, "thickness": 10, "outlinewidth": 0},
            ygap=1,
            **look,
        )
    )
    figure.add_scatter(
        x=[x for x, _, _ in cells],
        y=[name for _, name, _ in cells],
        customdata=[data for _, _, data in cells],
        mode="markers",
        marker={"symbol": "square", "size": 16, "color": "rgba(0,0,0,0)"},
        hoverinfo="none",
        showlegend=False,
    )
    if table.size <= SIGNED:
        figure.add_trace(_signs(table / limit, across, names, colours))
    if chosen is not None:
        ends = {"x0": chosen - 0.5, "x1": chosen + 0.5, "y0": -0.5, "y1": len(names) - 0.5}
        figure.add_shape(type="rect", name=CHOSEN, line={"color": colours.text, "width": 2}, **ends)
    return figure


def _signs(shares: NDArray[np.float64], across: Sequence[str], names: Sequence[str], colours: Theme) -> go.Scatter:
    """A + or − in every cell that has a sign, black or white, whichever can be read better on the cell's colour.

    A heat map writes in one colour for dark cells and one for pale ones, neither of which can be read well between them.
    """
    cells = [(i, j) for i, j in np.ndindex(shares.shape) if shares[i, j] > 0 or shares[i, j] < 0]
    return go.Scatter(
        x=[across[j] for _, j in cells],
        y=[names[i] for i, _ in cells],
        mode="text",
        text=["+" if shares[cell] > 0 else "−" for cell in cells],
        textfont={"size": 14, "color": [ink(colours.at(float(shares[cell]))) for cell in cells]},
        selected={"textfont": {"color": colours.text}},  # without it, a click on a cell makes every sign pale
        hoverinfo="skip",
        showlegend=False,
    )

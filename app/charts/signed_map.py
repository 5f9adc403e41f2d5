"""A map of rounds across and groups of records up, coloured and signed by influence, whose cells can be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.theme import theme

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
    shows_signs = table.size <= SIGNED
    figure = go.Figure(
        go.Heatmap(
            x=across,
            y=names,
            z=table,
            zmin=-limit,
            zmax=limit,
            colorscale=colours.diverging,
            text=np.where(table > 0, "+", np.where(table < 0, "−", "")) if shows_signs else None,
            texttemplate="%{text}" if shows_signs else None,
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
    if chosen is not None:
        ends = {"x0": chosen - 0.5, "x1": chosen + 0.5, "y0": -0.5, "y1": len(names) - 0.5}
        figure.add_shape(type="rect", name=CHOSEN, line={"color": colours.text, "width": 2}, **ends)
    return figure

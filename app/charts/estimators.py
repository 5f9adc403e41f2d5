"""Two estimators' rankings of the same records."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import MARK, style, theme
from engine.core.faithfulness.compared import ranks
from engine.store.snapshot import Float32s


def rank_scatter(one: Float32s, other: Float32s, names: tuple[str, str], k: int, dark: bool) -> go.Figure:
    """One mark a record: its rank by one estimator across, by the other one up; rank 1 raised the target most.

    The squares in the corners hold the records that are among both estimators' k top and k bottom ones.

    Args:
        one: (n,) influence.
        other: (n,) influence.
        names: of the estimators.
        k: size of top and bottom.
        dark: theme.
    """
    colours, n = theme(dark), len(one)
    figure = go.Figure(
        go.Scatter(  # WebGL would be cut off: its canvas keeps the size that a folded panel had
            x=ranks(one),
            y=ranks(other),
            mode="markers",
            customdata=np.arange(n),
            marker={"size": 5, "color": colours.series[6], "opacity": 0.55},
            hovertemplate=f"record %{{customdata}}<br>{names[0]}: rank %{{x:.0f}}<br>{names[1]}: rank %{{y:.0f}}<extra></extra>",
        )
    )
    for low, colour in ((0.5, colours.helps), (n - k + 0.5, colours.hurts)):
        figure.add_shape(
            type="rect", x0=low, x1=low + k, y0=low, y1=low + k, line={"color": colour, "width": 2}, layer="above"
        )
    figure.add_shape(type="line", x0=1, y0=1, x1=n, y1=n, line={"color": MARK, "width": 1, "dash": "dot"})
    figure.update_layout(
        xaxis={"title": f"rank by {names[0]}", "range": [1.02 * n, -0.02 * n]},
        yaxis={"title": f"rank by {names[1]}", "range": [1.02 * n, -0.02 * n]},
        dragmode="pan",
        showlegend=False,
    )
    return style(figure, 380)

"""Predicted against actual effects of removals."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from app.charts.theme import MARK, style, theme
from engine.core.faithfulness.result import Validation


def predicted_against_actual(found: Validation, estimator: str, dark: bool) -> go.Figure:
    """One mark a removed subset: what the scores predict, and what replaying did, with its standard error over orders.

    The line is the least-squares fit; a first-order prediction has its own unit, so only the order can be compared.
    """
    colours, one = theme(dark), found.estimators[estimator]
    predicted, actual, error = np.array(one.predicted), np.array(found.actual), np.array(found.actual_error)
    figure = go.Figure()
    if np.ptp(predicted) > 0:
        slope, intercept = np.polyfit(predicted, actual, 1)
        ends = np.array([predicted.min(), predicted.max()])
        figure.add_scatter(
            x=ends, y=intercept + slope * ends, mode="lines", line={"color": MARK, "width": 1}, hoverinfo="skip"
        )
    figure.add_scatter(
        x=predicted,
        y=actual,
        error_y={"type": "data", "array": np.nan_to_num(error), "thickness": 1, "width": 0},
        mode="markers",
        marker={"size": 7, "color": colours.series[0]},
        hovertemplate="predicted %{x:.3g}<br>actual %{y:.3g}<extra></extra>",
    )
    figure.update_layout(
        xaxis_title=f"predicted change of the target ({estimator})", yaxis_title="actual change", showlegend=False
    )
    return style(figure, 320)

"""What the scores predicted a removal would do to the target, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from app.charts.comparison import SYMBOLS, arm_names
from app.charts.theme import MARK, plain, style, theme

ACTUAL = "actual"


def predicted_beside_actual(
    actual: Mapping[str, Any], predicted: Mapping[str, Mapping[str, float]], dark: bool, *, repair: bool = False
) -> go.Figure:
    """One row for what replaying did, and one for each estimator's prediction, on one axis: the change of the target.

    Args:
        actual: `counterfactual` and `control`, each mean, low and high; and `order_values`, f of each arm by minibatch
            order, where the result has them.
        predicted: estimator -> arm -> predicted change; best first.
        dark: theme.
        repair: whether records were repaired in the place of being removed.
    """
    colours = theme(dark)
    rows = [ACTUAL, *predicted]
    figure = go.Figure()
    values: Mapping[str, Sequence[float]] = actual.get("order_values", {})
    for i, (arm, nudge) in enumerate((("counterfactual", -0.14), ("control", 0.14)), start=1):
        colour, name = colours.series[i], arm_names(repair)[arm]
        if values:
            changes = [a - b for a, b in zip(values[arm], values["original"], strict=True)]
            figure.add_scatter(
                x=changes,
                y=[nudge] * len(changes),
                mode="markers",
                marker={"size": 5, "color": colour, "opacity": 0.5},
                hovertemplate="one minibatch order: %{x:+.3g}<extra></extra>",
                showlegend=False,
            )
        estimate = actual[arm]
        low, high = (estimate["mean"] if estimate[side] is None else estimate[side] for side in ("low", "high"))
        points = [(0, estimate["mean"], "actual")]
        points += [(row, predicted[row_name][arm], f"predicted by {plain(row_name)}")
                   for row, row_name in enumerate(predicted, start=1) if arm in predicted[row_name]]  # fmt: skip
        figure.add_scatter(
            x=[x for _, x, _ in points],
            y=[row + nudge for row, _, _ in points],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - estimate["mean"]] + [0.0] * (len(points) - 1),
                "arrayminus": [estimate["mean"] - low] + [0.0] * (len(points) - 1),
                "thickness": 2,
                "width": 6,
            },
            mode="markers",
            marker={"size": 11, "symbol": SYMBOLS[arm], "color": colour},
            text=[what for _, _, what in points],
            hovertemplate=f"{name}<br>%{{text}}: %{{x:+.3g}}<extra></extra>",
            name=name,
        )
    figure.add_vline(x=0, line={"color": MARK, "width": 1})
    figure.update_layout(
        xaxis_title="change of the target",
        yaxis={
            "tickvals": list(range(len(rows))),
            "ticktext": [ACTUAL, *(plain(name) for name in predicted)],
            "range": [len(rows) - 0.5, -0.5],
            "zeroline": False,
        },
    )
    return style(figure, 130 + 56 * len(rows))

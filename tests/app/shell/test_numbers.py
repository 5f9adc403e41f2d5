"""The table behind every chart."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

import app
from app.charts import records
from app.shell.numbers import numbers


def test_a_scatter_has_its_records_with_their_influence() -> None:
    n = 5
    fields = {name: np.arange(n, dtype=np.float32) for name in ("advantage", "influence", "reward", "episode")}
    fields |= {"record": np.arange(n), "step in round": np.arange(n), "action": np.zeros(n, np.int64)}
    figure = records.scatter(fields, "step in round", "advantage", False, "pan")
    table = numbers(figure, "record")
    assert table["record"].tolist() == list(range(n))
    assert table["advantage"].tolist() == [0, 1, 2, 3, 4]
    assert table[next(name for name in table if name.startswith("influence"))].tolist() == [0, 1, 2, 3, 4]


def test_words_on_an_axis_stand_in_the_table_and_guides_do_not() -> None:
    figure = go.Figure(
        [
            go.Scatter(x=[0.1, 0.9], y=[3, 4], name="<b>a &lt; b</b>", error_y={"array": [1, 2]}),
            go.Scatter(x=[0, 1], y=[0, 1], hoverinfo="skip"),
        ]
    )
    figure.update_xaxes(tickvals=[0, 1], ticktext=["without", "with"], title="records")
    assert numbers(figure).to_dict("list") == {
        "series": ["a < b", "a < b"],
        "records": ["without", "with"],
        "value": [3, 4],
        "above": [1, 2],
        "below": [1, 2],
    }


def test_cells_of_a_heatmap_are_rows() -> None:
    figure = go.Figure(go.Heatmap(x=["0", "1"], y=["left"], z=[[0.5, None]], colorbar={"title": {"text": "share"}}))
    figure.update_xaxes(title="round")
    assert numbers(figure).to_dict("records") == [{"round": "0", "name": "left", "share": 0.5}]
    assert numbers(go.Figure()).empty


def test_every_chart_is_drawn_with_its_numbers() -> None:
    """One place calls `st.plotly_chart`; whoever draws a chart says what it shows."""
    calls = [
        (path.name, call)
        for path in Path(app.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
    ]
    drawn = [name for name, call in calls if ast.unparse(call.func).endswith("plotly_chart")]
    assert drawn == ["chart.py"]
    ours = [call for _, call in calls if ast.unparse(call.func).endswith("draw_chart")]
    assert len(ours) > 30
    assert all({"key", "alt"} <= {word.arg for word in call.keywords} for call in ours)

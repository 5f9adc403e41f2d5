"""The numbers that a chart draws, as a table: for readers who can't see or point at it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

_UNSEEN = ("skip", "none")
"""`hoverinfo` of what only helps the eye or the pointer: bands, guides, places to click."""


def numbers(figure: go.Figure, marks: str = "") -> pd.DataFrame:
    """One row a mark, in the order of drawing; columns are called what the axes are.

    Args:
        figure: any chart of this house.
        marks: what the marks' `customdata` are, such as `record`; empty where nobody needs them.

    >>> numbers(go.Figure(go.Bar(x=["left", "right"], y=[0.2, 0.8], name="policy"), {"yaxis": {"title": "π"}}))
       series   name    π
    0  policy   left  0.2
    1  policy  right  0.8
    """
    parts = [_of(trace, figure, marks) for trace in figure.data if trace.hoverinfo not in _UNSEEN]
    known = [part for part in parts if len(part)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame()


def _of(trace: Any, figure: go.Figure, marks: str) -> pd.DataFrame:
    """The rows of one trace."""
    if trace.type == "heatmap":
        return _of_cells(trace, figure)
    x, y = _values(trace["x"]), _values(trace["y"])
    n = max(len(x), len(y))
    columns: dict[str, Any] = {"series": [plain_text(trace.name or "")] * n} if trace.name else {}
    if marks and trace.customdata is not None:
        columns[marks] = _values(trace.customdata)
    for name, values in (("x", x), ("y", y)):
        axis = _axis(trace, figure, name)
        if len(values) and axis.showticklabels is not False:  # without, they are places and mean nothing
            columns[_title(figure, axis, name, values)] = _as_ticks(axis, values)
            columns |= _reach(trace, name)
    columns |= _colour(trace)
    for said, name in (("text", "text"), ("hovertext", "what it is")):
        if trace[said] is not None and not isinstance(trace[said], str):
            columns[name] = _values(trace[said])
    return pd.DataFrame({name: values for name, values in columns.items() if len(values) == n})


def _of_cells(trace: Any, figure: go.Figure) -> pd.DataFrame:
    """The rows of a heatmap: one a cell that is known."""
    cells = np.array(trace.z, dtype=float)
    across, up = _values(trace.x), _values(trace.y)
    names = [_title(figure, _axis(trace, figure, name), name, each) for name, each in (("x", across), ("y", up))]
    title = trace.colorbar.title.text
    rows = [
        {names[0]: across[j], names[1]: up[i], plain_text(title or "value"): cells[i, j]}
        for i, j in np.argwhere(np.isfinite(cells))
    ]
    return pd.DataFrame(rows)


def _axis(trace: Any, figure: go.Figure, name: str) -> Any:
    """The x or y axis of a trace."""
    return figure.layout[f"{name}axis{(trace[f'{name}axis'] or name)[1:]}"]


def _title(figure: go.Figure, axis: Any, name: str, values: list[Any]) -> str:
    """What an axis is called; panels above one another share the title of the lowest."""
    shared = next((each.title.text for each in figure.select_xaxes() if each.title.text), None) if name == "x" else None
    if title := axis.title.text or shared:
        return plain_text(title)
    return "name" if isinstance(values[0], str) else {"x": "across", "y": "value"}[name]


def _as_ticks(axis: Any, values: list[Any]) -> list[Any]:
    """Values on an axis whose ticks have words: the words of the nearest one."""
    if axis.ticktext is None or axis.tickvals is None:
        return values
    places, words = np.array(axis.tickvals, float), _values(axis.ticktext)
    return [
        words[int(np.abs(places - value).argmin())] if isinstance(value, int | float) else value for value in values
    ]


def _reach(trace: Any, axis: str) -> Mapping[str, Any]:
    """How far the error bars of an axis reach."""
    bars = getattr(trace, f"error_{axis}", None)
    if bars is None or bars.array is None:
        return {}
    above = _values(bars.array)
    return {"above": above, "below": above if bars.arrayminus is None else _values(bars.arrayminus)}


def _colour(trace: Any) -> Mapping[str, Any]:
    """What the marks' colours stand for, where they are numbers."""
    marker = getattr(trace, "marker", None)
    if marker is None or marker.color is None or isinstance(marker.color, str):
        return {}
    values = _values(marker.color)
    if not all(isinstance(value, int | float) for value in values):
        return {}
    title = marker.colorbar.title.text
    return {plain_text(title): values} if title else {}


def _values(found: Any) -> list[Any]:
    """Plain numbers and texts; of texts, what one reads."""
    values = [] if found is None else np.asarray(found).tolist() if isinstance(found, np.ndarray) else list(found)
    return [plain_text(value) if isinstance(value, str) else value for value in values]


def plain_text(drawn: str) -> str:
    """What one reads of a text that Plotly draws.

    >>> plain_text("<b>a &lt; b</b><br>c")
    'a < b, c'
    """
    return html.unescape(re.sub(r"<[^>]*>", "", drawn.replace("<br>", ", "))).strip(" ,")

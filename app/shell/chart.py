"""How every chart is drawn: with words for those who can't see it, and its numbers as a table that a keyboard reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app.shell.numbers import numbers


def draw_chart(
    figure: go.Figure,
    *,
    key: str,
    alt: str,
    marks: str = "",
    table: Callable[[], pd.DataFrame] | None = None,
    **options: Any,
) -> Any:
    """A chart, and its numbers, folded, below it.

    Args:
        figure: the chart.
        key: of its widget; that of the folded table is `<key>_numbers`.
        alt: what it shows, in plain words.
        marks: what its marks' `customdata` are, such as `record`.
        table: its numbers, where they are better read otherwise than mark by mark.
        options: further arguments of `st.plotly_chart`.

    Returns:
        What `st.plotly_chart` returns.
    """
    drawn = st.plotly_chart(figure, key=key, alt=alt, **options)
    folded = st.expander("Numbers", icon=":material/table:", type="compact", key=f"{key}_numbers", on_change="rerun")
    if folded.open:
        shown = numbers(figure, marks) if table is None else table()
        folded.dataframe(shown, hide_index=True, height=320, alt=f"Numbers: {alt}")
    return drawn

"""How every chart is drawn: with words for those who can't see it, and its numbers as a table that a keyboard reaches."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from app.shell.numbers import numbers


def draw_chart(figure: go.Figure, *, key: str, alt: str, marks: str = "", **options: Any) -> Any:
    """A chart, and its numbers, folded, below it.

    Args:
        figure: the chart.
        key: of its widget; that of the folded table is `<key>_numbers`.
        alt: what it shows, in plain words.
        marks: what its marks' `customdata` are, such as `record`.
        options: further arguments of `st.plotly_chart`.

    Returns:
        What `st.plotly_chart` returns.
    """
    drawn = st.plotly_chart(figure, key=key, alt=alt, **options)
    folded = st.expander("Numbers", icon=":material/table:", type="compact", key=f"{key}_numbers", on_change="rerun")
    if folded.open:
        folded.dataframe(numbers(figure, marks), hide_index=True, height=320, alt=f"Numbers: {alt}")
    return drawn

"""A chart and the table behind it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

SCRIPT = """
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from app.shell.chart import draw_chart

if "open" in st.query_params:
    st.session_state["bars_numbers"] = True
of_its_own = (lambda: pd.DataFrame({"round": [7]})) if "own" in st.query_params else None
draw_chart(go.Figure(go.Bar(x=["left", "right"], y=[1, 3])), key="bars", alt="Bars of two actions", table=of_its_own)
"""


def test_the_numbers_are_there_once_they_are_asked_for() -> None:
    app = AppTest.from_string(SCRIPT).run()
    assert not app.exception
    assert len(app.dataframe) == 0, "a table that nobody opened takes no time"
    app.query_params["open"] = "1"
    app = app.run()
    assert app.dataframe[0].value["value"].tolist() == [1, 3]
    app.query_params["own"] = "1"
    assert app.run().dataframe[0].value["round"].tolist() == [7]

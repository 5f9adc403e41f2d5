"""Room for the answer: less empty space above and below what a page shows, and pale tables of what nobody has measured."""

from __future__ import annotations

import streamlit as st

PALE_TABLE = 0.85
"""Opacity of a table of what nobody has measured: its heads, which Streamlit draws faded, must still be readable."""
_STYLE = f"""<style>
[data-testid=stMainBlockContainer] {{padding: 3.6rem 2.5rem 2rem}}
[data-testid=stBottomBlockContainer] {{padding: 0.4rem 2.5rem}}
[role=radiogroup] > * {{min-height: 2.5rem}}
[data-testid=stLayoutWrapper]:has(> .st-key-often), .st-key-often {{display: contents}}
.st-key-open_inspector kbd {{display: none}}
[class*=st-key-pale_] [data-testid=stDataFrame] {{opacity: {PALE_TABLE}}}
</style>"""


def make_room() -> None:
    """Once, before anything is drawn."""
    st.html(_STYLE)

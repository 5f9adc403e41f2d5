"""Room for the answer: little space above and below it, controls in one row. And pale tables of what nobody has measured."""

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
.st-key-controls {{flex-wrap: nowrap}}
.st-key-often label {{white-space: nowrap; overflow: hidden}}
@media (max-width: 1200px) {{
    .st-key-often > :not(.st-key-picture) {{flex-shrink: 1}}
    .st-key-often > .st-key-target {{flex-shrink: 10; min-width: 15rem}}
    .st-key-target button:first-child {{flex-shrink: 1; min-width: 0; line-height: 1.1; white-space: normal}}
}}
.st-key-often > .st-key-state {{flex-shrink: 20; min-width: 6rem}}
[class*=st-key-pale_] [data-testid=stDataFrame] {{opacity: {PALE_TABLE}}}
</style>"""


def make_room() -> None:
    """Once, before anything is drawn."""
    st.html(_STYLE)

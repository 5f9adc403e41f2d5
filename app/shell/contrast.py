"""Text that can be read in both themes: at least 4.5 : 1 against what is behind it (WCAG 2.1, 1.4.3)."""

from __future__ import annotations

import streamlit as st

_STYLE = """<style>
.js-plotly-plot :is([class$=tick] text, text[class$=title], .annotation-text, .legendtext, .bartext-outside) {
    fill: currentColor !important}
.stApp :is([data-testid=stBaseButton-primary]:enabled, [data-testid=stMultiSelectTagsContainer] [data-tag]) {color: Canvas}
</style>"""
"""Charts write in the colour of the page's text, also when the reader changes the theme of an open page. The main button and
chosen values are pale blue in the dark theme: what stands on them has the colour of the page, `Canvas`."""


def strengthen() -> None:
    """Darken or lighten what Streamlit and Plotly draw too pale; once, before a page is drawn."""
    st.html(_STYLE)

"""Scripts that a page of the browser runs once, whatever is drawn on it afterwards."""

from __future__ import annotations

import streamlit as st


def run(name: str, script: str) -> None:
    """Draw nothing, and let the browser run a script the first time that it is told to.

    Args:
        name: of the script, an identifier; the key of its container, too.
        script: JavaScript; nothing in it comes from a run.
    """
    once = f"if (!window.{name}) {{ window.{name} = true\n{script}}}"
    with st.container(key=name):
        hidden = f"<style>div:has(> .st-key-{name}) {{display: none}}</style>"
        st.html(f"{hidden}<script>{once}</script>", unsafe_allow_javascript=True)

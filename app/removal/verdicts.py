"""The verdict of a removal, as Markdown and as a box in its colour."""

from __future__ import annotations

import streamlit as st

from app.shell.text import escape
from engine.intervention.comparison import meaning, verdict_name

_BOX = {"helps": st.success, "hurts": st.warning, "within noise": st.info}
"""Verdicts about a target alone say nothing of better or worse."""


def sentence(verdict: object, played: bool = True) -> str:
    """The verdict and what it means; Markdown."""
    return f"**{escape(verdict_name(verdict))}**: {meaning(verdict, played)}"


def box(verdict: object, played: bool = True) -> None:
    """The sentence in the colour of the verdict."""
    _BOX.get(str(verdict), st.info)(sentence(verdict, played))

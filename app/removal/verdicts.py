"""What a result says, where it comes from a file: words of this version as they are, any other named as unknown."""

from __future__ import annotations

import streamlit as st

from app.text import escape
from engine.core.replay import MODES
from engine.intervention.comparison import VERDICT_WORDS

_BOX = {"helps": st.success, "hurts": st.warning, "within noise": st.info}


def verdict_name(verdict: object) -> str:
    """The verdict, or that it is none; plain text."""
    return str(verdict) if verdict in [*VERDICT_WORDS] else f"unknown verdict {verdict!r}"


def mode_name(mode: object) -> str:
    """How the rest was replayed, `mask` or `rebatch`, or that it is neither; plain text."""
    return str(mode) if mode in MODES else f"unknown mode {mode!r}"


def meaning(verdict: object) -> str:
    """What follows the verdict and a colon; plain text."""
    known = (words for name, words in VERDICT_WORDS.items() if name == verdict)
    return next(known, f"this version knows {', '.join(VERDICT_WORDS)}.")


def sentence(verdict: object) -> str:
    """The verdict and what it means; Markdown."""
    return f"**{escape(verdict_name(verdict))}**: {meaning(verdict)}"


def box(verdict: object) -> None:
    """The sentence in the colour of the verdict."""
    _BOX.get(str(verdict), st.info)(sentence(verdict))

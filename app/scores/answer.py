"""The answer line: how many records lowered the target, where they lie, whether that can be trusted, and what to do next."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.scores import trust_badge
from app.scores.check import Check
from app.scores.trust import Trust
from app.shell.text import escape
from engine.analysis.concentration import Concentration


def draw(
    place: DeltaGenerator,
    found: Concentration,
    check: Check,
    estimator: str,
    trust: Trust,
    go_on: Callable[[], None],
) -> None:
    """The line, and what one can do about it.

    Args:
        place: where; it may be far up on the page.
        found: where what lowered the target lies.
        check: whether the scores predict removal.
        estimator: of the scores.
        trust: what is known of that.
        go_on: draws a link to what can be done next.
    """
    with place:
        st.markdown(sentence(found, trust))
        with st.container(key="trust", horizontal=True, vertical_alignment="center"):
            trust_badge.badge(check, estimator, trust, "trust")
            trust_badge.another_estimator(check, estimator, trust)
            go_on()


def sentence(found: Concentration, trust: Trust) -> str:
    """What the line says: Markdown."""
    first, *others = found.sentences
    where = [escape(other) for other in others]
    return " ".join([f"**{escape(first)}**", *where, escape(trust.sentence)])

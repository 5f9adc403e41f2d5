"""Which rounds of a long run the curves show: those between the two ends of a slider, which the URL names."""

from __future__ import annotations

import re

import streamlit as st

from app.shell import state
from app.shell.text import escape

LEAST = 60
"""Rounds of a run from which on there is a choice."""
_ENDS = "rounds_shown"
_SPAN = re.compile(r"(\d{1,6})-(\d{1,6})", re.ASCII)


def shown_rounds(name: str, first: int, last: int) -> tuple[int, int]:
    """The first and the last round to be shown, of those from `first` to `last` of the run of that id."""
    if last - first < LEAST:
        return first, last
    said = state.choose_text("span", "", scope=name)
    ends = span_of(said, first, last)
    if ends is None:
        st.warning(
            escape(
                f"span {said[:80]!r} names no rounds of this run; showing all. Write the first and last, such as {first}-{last}."
            )
        )
    state.put({_ENDS: ends or (first, last)})
    st.slider(
        "Rounds shown",
        first,
        last,
        key=_ENDS,
        on_change=_take_over,
        args=(first, last),
        help="Fewer rounds are drawn in more detail; one can also drag over the curves, and double-click to see all.",
    )
    return ends or (first, last)


def span_of(said: str, first: int, last: int) -> tuple[int, int] | None:
    """The ends that a text names; None where it names none.

    >>> span_of("7300-7400", 0, 9999), span_of("", 0, 9999), span_of("7400-7300", 0, 9999), span_of("1-99999", 0, 9999)
    ((7300, 7400), (0, 9999), None, (1, 9999))
    """
    if not said:
        return first, last
    match = _SPAN.fullmatch(said)
    low, high = (max(int(match[1]), first), min(int(match[2]), last)) if match else (1, 0)
    return (low, high) if low < high else None


def _take_over(first: int, last: int) -> None:
    """What was chosen at the slider (a callback)."""
    low, high = state.get(_ENDS)
    state.put({"span": "" if (low, high) == (first, last) or low == high else f"{low}-{high}"})

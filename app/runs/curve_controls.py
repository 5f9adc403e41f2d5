"""How curves over rounds are drawn: what runs across, and how smooth they are."""

from __future__ import annotations

import streamlit as st

from app.shell import state
from app.shell.glossary import meaning

ACROSS = ("rounds", "environment steps")
SMOOTHINGS = [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]


def across() -> str:
    """One of `ACROSS`."""
    state.choose("across", ACROSS, ACROSS[0])
    return str(
        st.segmented_control(
            "Across", ACROSS, key="across", required=True,
            help="Environment steps are all steps of training so far, in all parallel environments.",
        )
    )  # fmt: skip


def smoothing() -> float:
    """The weight of the past, one of `SMOOTHINGS`."""
    state.choose("smoothing", SMOOTHINGS, 0.0)
    chosen = st.select_slider(
        "Smoothing",
        SMOOTHINGS,
        key="smoothing",
        width=240,
        help=f"{meaning('smoothing')} The faint line is as measured.",
    )
    return float(chosen)

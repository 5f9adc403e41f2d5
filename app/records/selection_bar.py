"""The bar about the selected records: how many they are, what they sum to, and what can be done with them."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.records import groups
from app.records.groups import Ask
from app.scores.by_term_and_layer import by_term
from app.shell import selection
from engine.core.estimators.sums import sum_of
from engine.core.scores import Scores
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def draw(run: Run, snapshot: Snapshot, scores: Scores | None, how: str, ask: Ask | None = None) -> DeltaGenerator:
    """The bar, into which more can be drawn.

    Args:
        run: the run.
        snapshot: its round.
        scores: influence of its records; None: not known.
        how: records are selected on the page, in a sentence.
        ask: makes what records did the target (in a callback); None: no target is about several records.
    """
    records = selection.current(run, snapshot).tolist()
    bar = st.container(key="selection", horizontal=True, vertical_alignment="center")
    with bar:
        if records:
            st.markdown(
                f"**Selection: {len(records)} of {len(snapshot.buffer)} records**{_summed(scores, records)}",
                help=None if scores is None else f"By the terms of their objective: {by_term(scores, records)}",
            )
        else:
            st.markdown(f"**Selection:** none. {how}")
        st.button(
            "Clear selection",
            key="clear_selection",
            icon=":material/deselect:",
            disabled=not records,
            on_click=selection.choose,
            args=(run, snapshot, ()),
        )
        if ask is not None:
            st.button(
                "Ask about selected",
                key="ask_about_selected",
                icon=":material/help:",
                disabled=not records,
                help="Which records made the agent do what it does in the selected ones? Their actions become the target.",
                on_click=ask,
                args=(records,),
            )
        groups.draw(run, snapshot, scores, ask)
    return bar


def _summed(scores: Scores | None, records: list[int]) -> str:
    if scores is None:
        return ""
    of_all = float(scores.influence.sum(dtype=np.float64))
    return f", summed influence {sum_of(scores.influence, records):+.3g} of {of_all:+.3g}"

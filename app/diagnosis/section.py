"""The section of the Diagnose page about its bottom records, in tabs that are computed when they are opened."""

from __future__ import annotations

import streamlit as st

from app import page, state
from app.diagnosis import in_common, loaders
from app.diagnosis.marks import OnPick
from engine.analysis.diagnosis import FRACTION
from engine.attribution.influence import Scores
from engine.attribution.targets import Target
from engine.store.read import Run
from engine.store.snapshot import Snapshot

FRACTIONS = (0.01, 0.05, FRACTION, 0.25, 0.5)


def draw(run: Run, snapshot: Snapshot, target: Target, scores: Scores, source: str, on_pick: OnPick) -> None:
    """The section.

    Args:
        run: the run.
        snapshot: its round.
        target: what the scores are about.
        scores: influence of its records.
        source: where the scores come from, in one line.
        on_pick: told which records were clicked.
    """
    with st.container(key="bottom_section"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.subheader("What do the bottom records have in common?", anchor=False, width="content")
            state.choose("fraction", FRACTIONS, FRACTION)
            fraction = float(
                st.selectbox(
                    "Bottom", FRACTIONS, key="fraction", width=110, format_func="{:.0%}".format,
                    help="The share of the records that are the bottom: those that lowered the target most.",
                ) or FRACTION
            )  # fmt: skip
        with page.one_line_errors():
            found = loaders.load_diagnosis(
                snapshot, target, scores, fraction, loaders.load_estimates(snapshot, loaders.ROLLOUTS)
            )
            in_common.draw(found, source, on_pick)

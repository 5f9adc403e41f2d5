"""The section of the Sequences page about what its bottom sequences have in common, by the same comparison as Diagnose's."""

from __future__ import annotations

import streamlit as st

from app.diagnosis import in_common, loaders
from app.shell import page, selection, state
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def draw(run: Run, snapshot: Snapshot, target: Target, scores: Scores, source: str) -> None:
    """The section; what is clicked there is selected, and its worst sequence is shown.

    Args:
        run: the run.
        snapshot: its round.
        target: what the scores are about.
        scores: influence of its sequences.
        source: where the scores come from, in one line.
    """
    with st.container(key="sequence_findings"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.subheader("What do the bottom sequences have in common?", anchor=False, width="content")
            fraction = in_common.chosen_fraction()
        with page.one_line_errors():
            found = loaders.load_diagnosis(snapshot, target, scores, fraction, None)
            in_common.draw(found, source, lambda records: _pick(run, snapshot, records))


def _pick(run: Run, snapshot: Snapshot, records: list[int]) -> None:
    """Tick these sequences, and show the last one (a callback)."""
    selection.choose(run, snapshot, records)
    state.put({"record": records[-1]})

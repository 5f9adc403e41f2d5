"""The section of the Diagnose page about its bottom records, in tabs that are computed when they are opened."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.diagnosis import in_common, loaders, maps, rollouts
from app.diagnosis.marks import OnPick
from app.shell import page, state
from engine.core.scores import Scores
from engine.core.targets.functions import Target
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run


def draw(run: Run, snapshot: ControlSnapshot, target: Target, scores: Scores, source: str, on_pick: OnPick) -> None:
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
            fraction = in_common.chosen_fraction()
            number = rollouts.chosen_rollouts()
        with page.one_line_errors():
            found = loaders.load_diagnosis(snapshot, target, scores, fraction, loaders.load_estimates(snapshot, number))
            views: dict[str, Callable[[], None]] = {
                "In plain words": lambda: in_common.draw(found, source, on_pick),
                "Where they were made": lambda: maps.draw(run, snapshot, found, source, on_pick),
                "What they were worth": lambda: rollouts.draw(run, snapshot, target, found, number, source, on_pick),
            }
            state.choose("bottom_view", list(views), next(iter(views)))
            tabs = st.tabs(list(views), key="bottom_view", on_change="rerun")
            for tab, view in zip(tabs, views.values(), strict=True):
                if tab.open:  # the others would be computed unseen
                    with tab, page.one_line_errors():
                        view()

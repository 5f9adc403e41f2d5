"""Removals on the Timeline: a mark at the round of each that has a verdict, and a way to what came of it."""

from __future__ import annotations

import streamlit as st

from app.charts.incidents import Removal
from app.shell import state
from engine.intervention.comparison import verdict_name
from engine.jobs.interventions import list_jobs
from engine.store.read import Run

_CLICKED = "the removal whose mark was clicked"


def of(run: Run) -> list[Removal]:
    """The removals of a run that have a verdict; the key of each is its id."""
    return [
        Removal(
            round=job.plan.round,
            verdict=str(job.result["verdict"]),
            says=f"round {job.plan.round} {job.plan.in_words()}: "
            f"{verdict_name(job.result['verdict'])}. A click shows what came of it.",
            key=job.id,
        )
        for job in list_jobs(run)
        if job.result is not None
    ]


def remember(key: str) -> None:
    """The mark of that key was clicked (a callback, in which no other page can be opened)."""
    state.put({_CLICKED: key})


def go_where_it_was_clicked(name: str) -> None:
    """Open what came of the removal whose mark was clicked, if one was."""
    clicked = state.get(_CLICKED)
    if clicked is not None:
        state.put({_CLICKED: None})
        st.switch_page("views/compare.py", query_params={"run": name, "iv": str(clicked)})

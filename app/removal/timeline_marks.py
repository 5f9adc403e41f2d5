"""Removals on the Timeline: a mark at the round of each that has a verdict, and a way to what came of it."""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st

from app.charts.incidents import ACROSS, Removal
from app.shell import state
from engine.intervention.comparison import verdict_name
from engine.jobs.interventions import list_jobs
from engine.jobs.series import list_series
from engine.store.read import Run

_CLICKED = "the removal whose mark was clicked"
_IN_SERIES = "across training"
"""Begins the key of a mark of a series, before its id and the round."""
_CLICK = "A click shows what came of it."


def of(run: Run) -> list[Removal]:
    """The removals of a run that have a verdict, single ones and those of the series across training."""
    single = [
        Removal(
            round=job.plan.round,
            verdict=str(job.result["verdict"]),
            says=f"round {job.plan.round} {job.plan.in_words()}: {verdict_name(job.result['verdict'])}. {_CLICK}",
            key=job.id,
        )
        for job in list_jobs(run)
        if job.result is not None
    ]
    return [*single, *_of_series(run)]


def _of_series(run: Run) -> Iterator[Removal]:
    """A mark for each finished round of each series; none for rounds that were skipped."""
    for job in list_series(run):
        share = "" if job.series.drop_bottom == 1 else f"the bottom {job.series.drop_bottom:.0%} of "
        for found in job.finished:
            if "skipped" not in found:
                yield Removal(
                    round=found["round"],
                    verdict=str(found["verdict"]),
                    says=f"across training, round {found['round']} by itself, without {share}the records with negative "
                    f"{job.series.estimator} influence: {verdict_name(found['verdict'])}. {_CLICK}",
                    key=f"{_IN_SERIES} {job.id} {found['round']}",
                    row=ACROSS,
                )


def remember(key: str) -> None:
    """The mark of that key was clicked (a callback, in which no other page can be opened)."""
    state.put({_CLICKED: key})


def go_where_it_was_clicked(name: str) -> None:
    """Open what came of the removal whose mark was clicked, if one was."""
    clicked = state.get(_CLICKED)
    if clicked is None:
        return
    state.put({_CLICKED: None})
    view, asked = "compare", {"iv": str(clicked)}
    if str(clicked).startswith(_IN_SERIES):
        series, round = str(clicked).removeprefix(_IN_SERIES).split()
        view, asked = "interventions", {"view": "Across training", "series": series, "round": round}
    st.switch_page(f"views/{view}.py", query_params={"run": name, **asked})

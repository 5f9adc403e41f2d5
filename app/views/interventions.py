"""Interventions: what was removed or repaired, how far the work is, and what came of it."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import streamlit as st

from app.removal import described, every_round, notes, start
from app.removal.verdicts import told
from app.shell import cancel, kinds, page, state, timed
from app.shell.glossary import explained
from app.shell.text import escape
from engine.intervention.comparison import VERDICT_WORDS, verdict_name
from engine.jobs.folder import ACTIVE, request_cancel
from engine.jobs.interventions import InterventionJob, damaged_jobs, list_jobs
from engine.store.read import Run

POLL_SECONDS = 1.0
ICONS = {
    "queued": ":material/schedule:",
    "running": ":material/sync:",
    "done": ":material/check_circle:",
    "cancelled": ":material/cancel:",
    "failed": ":material/error:",
    "stale": ":material/heart_broken:",
}


# What a state is called where its own name says little. A comment, because Streamlit shows strings of a page.
NOW = {"stale": "not responding"}


def when(job: InterventionJob) -> str:
    """When it was begun."""
    return datetime.fromtimestamp(job.metadata["created"]).strftime("%Y-%m-%d %H:%M")


def draw_job(name: str, run: Run, job: InterventionJob, cancel_key: str) -> None:
    """One intervention with its state and what can be done with it."""
    with st.container(border=True):
        title, actions = st.columns([4, 1], vertical_alignment="center")
        now = "cancelling" if job.is_stopping else NOW.get(job.state, job.state)
        title.markdown(f"{ICONS[job.state]} **{escape(described.title(job))}** · {now} · {when(job)}")
        title.caption(
            f"Chosen: {escape(described.selection(run, job))} · {escape(described.looked_at_by(run, job))}  \n"
            f"{escape(described.settings(run, job))} · id {escape(job.id)}",
            help=explained("target", "estimator", job.plan.mode, "minibatch order", "arm"),
        )
        if job.state in ACTIVE or job.state == "stale":
            if job.state == "stale":
                st.warning("Its process has not reported for a while. Start it again, or cancel it.")
            else:
                st.progress(min(job.done / max(job.total, 1), 1.0), text=escape(job.in_words))
            cancel.draw(cancel_key, partial(request_cancel, job), job.is_stopping, place=actions)
        if job.state == "failed":
            st.error(escape(job.doing))
        if job.state in ("failed", "cancelled", "stale"):
            actions.button(
                "Start again",
                key=f"again_{job.id}",
                icon=":material/replay:",
                on_click=page.careful(start.start_again),
                args=(run, job),
            )
        result = job.result
        if job.state == "done" and result is not None:
            title.markdown(told(run, job, result))
            if "recollected" in result:
                title.markdown(
                    f"With data collected anew: **{escape(verdict_name(result['recollected']['verdict']))}**"
                )
            actions.page_link(
                "views/compare.py",
                label="Outcome",
                icon=":material/balance:",
                query_params={"run": name, "iv": job.id},
            )
        notes.draw(job)


def how_to_remove(run: Run) -> str:
    """Where one begins, in a sentence; plain text."""
    if not kinds.shown(run).pages:
        return "The command `python -m engine retrain` removes some."
    return f"Open {kinds.records_page(run).title}, select records, add them to the basket and press Retrain."


@page.one_line_errors()  # a fragment runs outside the page's own error line
def panel(name: str, run: Run, was_active: bool) -> None:
    """All interventions on the run, the one of the URL first."""
    found = list_jobs(run)
    found.sort(key=lambda job: job.id != state.asked("iv"))
    with st.container(key="jobs"):
        first_active = next((job.id for job in found if job.state in ACTIVE or job.state == "stale"), None)
        for job in found:
            draw_job(name, run, job, "cancel_job" if job.id == first_active else f"cancel_job_{job.id}")
        for line in damaged_jobs(run):
            st.error(escape(line), icon=":material/error:")
        if not found:
            to_begin = kinds.records_page(run)
            st.info(f"No record has been removed from this run yet. {how_to_remove(run)}", icon=":material/info:")
            st.page_link(f"views/{to_begin.view}.py", label=f"Open {to_begin.title}", query_params={"run": name})
    if was_active != any(job.state in ACTIVE for job in found):
        st.rerun()


def single(name: str, run: Run) -> None:
    """What was done to records of chosen rounds; looks at the disk every second while something runs."""
    st.caption(
        "An intervention replays one update without some records, or with them repaired, and compares it with the original and "
        "with as many random records. It runs in a process of its own: closing this page does not stop it.",
        help=explained("intervention", "original", "counterfactual", "control", "verdict", *VERDICT_WORDS),
    )
    active = any(job.state in ACTIVE for job in list_jobs(run))
    timed.every(POLL_SECONDS if active else None)(panel)(name, run, active)


def interventions() -> None:
    """The page: single interventions, and the same one at every round."""
    name, run = page.current_run()
    state.keep("iv")
    views = {"Chosen records": single, "Across training": every_round.draw}
    state.choose("view", list(views), "Chosen records")
    for tab, draw in zip(st.tabs(list(views), key="view", on_change="rerun"), views.values(), strict=True):
        if tab.open:
            with tab, page.one_line_errors():
                draw(name, run)


interventions()

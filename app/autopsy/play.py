"""Playing the policies of an autopsy in the background: what it takes, how far it is, and a button to stop it."""

from __future__ import annotations

import streamlit as st

from app.shell import kinds, page
from app.shell.text import escape
from engine.intervention.autopsy.examine import arms_of
from engine.intervention.autopsy.kept_returns import EPISODES, Returns
from engine.intervention.autopsy.play import play_seconds
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Autopsy
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.terminal import duration

POLL_SECONDS = 1.0
START_SECONDS = 5.0
"""What a worker takes to begin."""


def job_of(run: Run, snapshot: Snapshot) -> Calculation:
    """The autopsy in the background; what it plays is kept where the page looks for it."""
    return Calculation(run, Autopsy(round=snapshot.round))


def draw(job: Calculation, run: Run, snapshot: Snapshot) -> None:
    """A button that begins, or how far it is."""
    if job.running:
        _progress(job, run, snapshot.round, _answered(run, snapshot.round))
    else:
        _offer(job, run, snapshot)


def _offer(job: Calculation, run: Run, snapshot: Snapshot) -> None:
    seconds = play_seconds(snapshot, arms_of(snapshot))
    takes, more = ("", "")
    if seconds is not None:
        takes, more = (f"about {duration(START_SECONDS + each)}" for each in (seconds[0], sum(seconds)))
    with st.container(key="autopsy_offer"):
        st.button(
            f"Play it ({takes})" if takes else "Play it",
            key="play_autopsy",
            type="primary",
            icon=":material/play_arrow:",
            on_click=page.careful(job.start),
        )
        st.caption(
            f"Plays {EPISODES} {kinds.words(run).episodes} of the policy before the update and of the one after it, on the same "
            "seeds, in the background. Only if the policy fell for certain, what might have prevented it is played as well"
            f"{f' ({more} in all)' if more else ''}: other orders, other data, smaller steps, another critic, other "
            "advantages, fewer records. What is played is kept."
        )
        if job.complaint:
            st.caption(f"The last time it stopped: {escape(job.complaint)}")


def _answered(run: Run, round: int) -> bool:
    """Whether it is known if there was a fall."""
    return len(Returns(run, round, EPISODES)) > 1


@st.fragment(run_every=POLL_SECONDS)
def _progress(job: Calculation, run: Run, round: int, answered: bool) -> None:
    if not job.running or (not answered and _answered(run, round)):
        st.rerun()
    share, left = job.progress
    with st.container(key="autopsy_progress", border=True):
        st.progress(share, f"playing the policies: {share:.0%}" + (f", {escape(left)}" if left else ""))
        st.button("Cancel", key="cancel_autopsy", icon=":material/cancel:", on_click=page.careful(job.stop))

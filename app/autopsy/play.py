"""Playing the policies of an autopsy in the background: what it takes, how far it is, and a button to stop it."""

from __future__ import annotations

import streamlit as st

from app.shell import cancel, kinds, page, timed
from app.shell.text import escape
from engine.intervention.autopsy.examine import arms_of
from engine.intervention.autopsy.kept_returns import EPISODES, Returns
from engine.intervention.autopsy.on_records import replay_seconds
from engine.intervention.autopsy.play import play_seconds, why_unplayed
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
    label, icon, what = _to_replay(snapshot) if why_unplayed(snapshot) else _to_play(run, snapshot)
    with st.container(key="autopsy_offer"):
        st.button(label, key="play_autopsy", type="primary", icon=icon, on_click=page.careful(job.start))
        st.caption(what)
        if job.complaint:
            st.caption(f"The last time it stopped: {escape(job.complaint)}")


def _to_play(run: Run, snapshot: Snapshot) -> tuple[str, str, str]:
    """Label, icon and explanation of the button where policies can be played."""
    seconds = play_seconds(snapshot, arms_of(snapshot))
    takes, more = (None, None) if seconds is None else (seconds[0], sum(seconds))
    return (
        f"Play it{_about(takes)}",
        ":material/play_arrow:",
        f"Plays {EPISODES} {kinds.words(run).episodes} of the policy before the update and of the one after it, on the same "
        "seeds, in the background. Only if the policy fell for certain, what might have prevented it is played as well"
        f"{_about(more, ' in all')}: other orders, other data, smaller steps, another critic, other advantages, fewer records. "
        "What is played is kept.",
    )


def _to_replay(snapshot: Snapshot) -> tuple[str, str, str]:
    """The same where none can."""
    return (
        f"Replay it{_about(replay_seconds(snapshot, arms_of(snapshot)))}",
        ":material/replay:",
        "Nothing can be played here. In the background the update is replayed in other orders and with a smaller step, and the "
        "policies are asked about the records of the next stored rounds. What they say is kept.",
    )


def label(snapshot: Snapshot) -> str:
    """What a link to the autopsy says, with the time that it takes where that is known: `Autopsy, 9 s`."""
    if why_unplayed(snapshot):
        seconds = replay_seconds(snapshot, arms_of(snapshot))
    else:
        played = play_seconds(snapshot, arms_of(snapshot))
        seconds = None if played is None else sum(played)
    return "Autopsy" if seconds is None else f"Autopsy, {duration(START_SECONDS + seconds)}"


def _about(seconds: float | None, of_what: str = "") -> str:
    """` (about 9 s)`, with the start of a worker; empty where it is not known."""
    return "" if seconds is None else f" (about {duration(START_SECONDS + seconds)}{of_what})"


def _answered(run: Run, round: int) -> bool:
    """Whether it is known if there was a fall."""
    return len(Returns(run, round, EPISODES)) > 1


@timed.every(POLL_SECONDS)
def _progress(job: Calculation, run: Run, round: int, answered: bool) -> None:
    if not job.running or (not answered and _answered(run, round)):
        st.rerun()
    share, left = job.progress
    with st.container(key="autopsy_progress", border=True):
        st.progress(share, f"done: {share:.0%}" + (f", {escape(left)}" if left else ""))
        cancel.draw("cancel_autopsy", job.stop, job.stopping)

"""Is a round what was recorded? Its policy is made again and its update replayed, and one small line says what came of it."""

from __future__ import annotations

import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import loaders, page, timed
from app.shell.cached import cached
from app.shell.text import escape
from engine.core.replays.rebuilt_policy import RebuiltPolicy
from engine.core.replays.replayed_run import HERE, ReplayedRound, kept_replay, verified_round, why_not_replayed
from engine.errors import CancelledError
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Replay
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.terminal import duration

AT_ONCE_SECONDS = 1.0
"""An update that took no longer is replayed as soon as its round is open, and given up where it takes twice as long here."""
PASSES = 3
"""Forward passes that take as long as an epoch of an update, roughly."""
HELP = "This round's update was replayed from its files, and its parameters were compared with those that were recorded after it."


def another_policy(run: Run, snapshot: Snapshot) -> str:
    """That the policy which the files make is not the recorded one, in words; empty where it is, or where that is not known.

    It takes a forward pass. Where that takes long it is not made here, and a replay in the background tells.
    """
    update, passes = snapshot.metrics.get("update_seconds"), PASSES * snapshot.config.n_epochs
    if update is None or update / passes <= AT_ONCE_SECONDS:
        policy = loaders.load_rebuilt(snapshot)
    else:
        kept = kept_replay(run, snapshot.round)
        policy = RebuiltPolicy(None, False) if kept is None else RebuiltPolicy(kept.log_prob, kept.same_policy)
    return "" if policy.largest is None or policy.near else policy.sentence


def draw(place: DeltaGenerator, run: Run, snapshot: Snapshot) -> None:
    """Say in a line whether the replay is the recorded update: replay it first where that takes no time, else offer to.

    Args:
        place: an `st.empty` where it is said. It may be far up on the page: at the page's end this keeps nothing else waiting.
        run: the run.
        snapshot: its round.
    """
    with place.container(), page.one_line_errors():
        if why := why_not_replayed(run, snapshot):
            st.caption(escape(f"not replayed: {why}"))
            return
        found = kept_replay(run, snapshot.round)
        if found is None and _takes_no_time(snapshot):
            found = _replayed_now(run, snapshot.round)
        if found is None:
            _offer(Calculation(run, Replay(round=snapshot.round)), snapshot)
        else:
            _say(found)


def _takes_no_time(snapshot: Snapshot) -> bool:
    """Where it was recorded, which must have been on a CPU."""
    update = snapshot.metrics.get("update_seconds")
    return update is not None and update <= AT_ONCE_SECONDS and snapshot.fingerprint.get("device", "cpu") == "cpu"


def _as_committed(run: Run, round: int) -> tuple[str, int, list[str]]:
    """A round by its own commit and the one after it, whose checkpoint may come later."""
    commits = [
        info.hash for info in (*run.rounds, *([run.final] if run.final else [])) if info.round in (round, round + 1)
    ]
    return str(run.path), round, commits


@cached(max_entries=64, by=_as_committed)
def _replayed_now(run: Run, round: int) -> ReplayedRound | None:
    """The replay; None where it takes longer here than there."""
    end = time.monotonic() + 2 * AT_ONCE_SECONDS

    def in_time(done: int, total: int) -> None:
        if time.monotonic() > end:
            raise CancelledError

    try:
        return verified_round(run, round, in_time)
    except CancelledError:
        return None


def _say(found: ReplayedRound) -> None:
    policy = (
        ""
        if found.log_prob is None
        else f" The policy's log-probabilities are the recorded ones within {found.log_prob:.2g}."
    )
    icon = (
        ":material/verified:" if found.equal else ":material/error:" if found.why == HERE else ":material/difference:"
    )
    st.caption(f"{icon} {escape(found.words)}", help=f"{HELP}{policy}")


def _offer(job: Calculation, snapshot: Snapshot) -> None:
    """A button that replays it in the background, or how far it is."""
    if job.running:
        _progress(job)
        return
    update = snapshot.metrics.get("update_seconds")
    takes = "" if update is None else f" (about {duration(max(float(update), 1))})"
    st.button(
        f"Replay it{takes}",
        key="replay_round",
        type="tertiary",
        icon=":material/replay:",
        on_click=page.careful(job.start),
        help="Not replayed yet. Replays this round's update from its files, in the background, and compares its parameters with "
        "those that were recorded after it.",
    )
    if job.complaint:
        st.caption(f"The last replay stopped: {escape(job.complaint)}")


@timed.every(2)
def _progress(job: Calculation) -> None:
    if not job.running:
        st.rerun()
    st.caption(f":material/hourglass_top: being replayed, {job.progress[0]:.0%}")

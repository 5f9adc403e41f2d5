"""A run that is still being written: which round the page is as of and, where the reader wants it, a look for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import streamlit as st

from app.shell import loaders, state, timed
from engine.errors import EngineError
from engine.store.buckets.mirror import address_of
from engine.store.chain import commit_name
from engine.store.read import Run

EVERY_SECONDS = 2.0
"""Between two looks at the disk."""
_KEY = "refresh"
_LAST = "the run and its last round as they were drawn"


def as_of(run: Run) -> str:
    """Which round a run without its final checkpoint is as of: `as of round 12`."""
    return f"as of round {run.rounds[-1].round}" if run.rounds else "no round yet"


def draw(run: Run) -> None:
    """The line about an unfinished run, with the reader's choice to be kept up to date; nothing of a finished run."""
    if run.final is not None:
        return
    words = as_of(run)
    with st.container(key="live", horizontal=True, vertical_alignment="center"):
        st.badge(words[:1].upper() + words[1:], icon=":material/hourglass_top:", color="gray")
        st.caption(f"{len(run.rounds)} of {run.config.rounds} rounds are here{_since(run)}; the run is not finished.")
        if run.rounds:
            keep_up(run.head, lambda: loaders.load_run(run.path).head)
        else:
            redraw_when(lambda: bool(loaders.load_run(run.path).rounds))


def keep_up(drawn: object, look: Callable[[], object]) -> None:
    """The toggle. While it is on, the page is drawn anew whenever there is something new, and only then.

    Args:
        drawn: what the page shows.
        look: what the disk holds by now.
    """
    state.choose(_KEY, [False, True], False)
    wanted = st.toggle(
        "Show new rounds as they come",
        key=_KEY,
        help=f"Looks for new rounds every {EVERY_SECONDS:g} seconds. While the last round is chosen, the page moves on with the "
        "run.",
    )
    if not wanted:
        return

    redraw_when(lambda: look() != drawn)


def redraw_when(there_is_news: Callable[[], bool], every: float = EVERY_SECONDS) -> None:
    """Draw the page anew once there is news; looked at every so many seconds, but not before the page is drawn.

    A run that is written faster than the page is drawn would otherwise never be seen.
    """
    is_drawn = False

    @timed.every(every)
    def watch() -> None:
        nonlocal is_drawn
        if not is_drawn:
            is_drawn = True
            return
        try:
            found = there_is_news()
        except (EngineError, OSError):  # the page itself says what is wrong
            found = True
        if found:
            st.rerun()

    watch()


def follow(name: str, rounds: Sequence[int]) -> None:
    """Move the round along if the reader keeps up and stands on what was the last round; before its widget is drawn."""
    last = rounds[-1] if rounds else None
    if state.get(_KEY) and last is not None and state.get(_LAST) == (name, state.wanted("round")):
        state.put({"round": last})
    state.put({_LAST: (name, last)})


def _since(run: Run) -> str:
    """When the last round came, on this machine's clock; empty where no clock here tells, as of a copy of an object store."""
    if not run.rounds or address_of(run.path) is not None:
        return ""
    written = datetime.fromtimestamp((run.path / "commits" / commit_name(run.rounds[-1].round)).stat().st_mtime)
    today = written.date() == datetime.now().date()
    return f", the last since {written:%H:%M:%S}" if today else f", the last since {written:%Y-%m-%d %H:%M}"

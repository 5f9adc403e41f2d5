"""Parts of a page that look again every so many seconds.

The browser takes away what a part no longer draws once it hears that the part was drawn to the end. It does not hear that
where the next run begins at once, as one that a timer asked for meanwhile does: what was there before stays beside what is
there now. So a timer whose turn comes right after a part was drawn has the whole page drawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.shell import state

P = ParamSpec("P")

AT_ONCE_SECONDS = 0.5
"""A run that begins so soon after a part was drawn, or within the time that this took, was waiting for it."""
_UNTIL = "until when a run follows a part of the page at once"


@contextmanager
def part() -> Iterator[None]:
    """The drawing of a part of the page, which a timer may follow."""
    begun = time.monotonic()
    try:
        yield
    finally:
        if _is_by_itself():
            now = time.monotonic()
            state.put({_UNTIL: now + max(AT_ONCE_SECONDS, now - begun)})


def every(seconds: float | None) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a part of a page be drawn anew by itself every so many seconds; None: only when one of its widgets changes."""

    def timed(draw: Callable[P, None]) -> Callable[P, None]:
        @st.fragment(run_every=seconds)
        @wraps(draw)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
            if _follows_a_part():
                st.rerun()
            draw(*args, **kwargs)

        return drawn

    return timed


def _follows_a_part() -> bool:
    """Whether this run began right after a part of the page was drawn by itself."""
    return _is_by_itself() and time.monotonic() < float(state.get(_UNTIL, 0.0))


def _is_by_itself() -> bool:
    """Whether parts alone are drawn, and not the whole page."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and bool(context.fragment_ids_this_run)

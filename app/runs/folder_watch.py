"""A watch on the folders of runs: the page is drawn anew when a run comes, grows or goes, and while runs are being read."""

from __future__ import annotations

import time

import streamlit as st

from app.runs import listed
from app.shell import loaders, timed
from app.shell.page import one_line_errors

EVERY_SECONDS = 2.0
"""Between two looks, ..."""
SHARE = 0.05
"""... or longer, where a look takes more than this share of the time between."""
SLICE_SECONDS = 0.5
"""Of reading runs, between which the page says how far it is."""
SHOWN_SECONDS = 5.0
"""Between two drawings of the table with what was read meanwhile."""


def watch(drawn: list[tuple[str, ...]], look_seconds: float, left: int, total: int) -> None:
    """Go on reading, and look for changes.

    Args:
        drawn: the fingerprint of what the page shows.
        look_seconds: that taking it took.
        left: how many runs are to be read.
        total: how many there are.
    """
    until, is_drawn = time.monotonic() + SHOWN_SECONDS, False
    every = SLICE_SECONDS + 0.1 if left else max(EVERY_SECONDS, look_seconds / SHARE)

    @timed.every(every)
    def look() -> None:
        nonlocal is_drawn
        has_news = False
        with one_line_errors():
            now_left = listed.read_some(SLICE_SECONDS) if left and is_drawn else left
            if left:
                st.progress(1 - now_left / total, f"{total - now_left:,} of {total:,} runs read, the newest first")
            if is_drawn:  # not while the page is drawn, which has just looked
                now = listed.fingerprint(loaders.runs_by_folder())
                has_news = now != drawn or (left > 0 and (not now_left or time.monotonic() > until))
        is_drawn = True
        if has_news:
            st.rerun()

    look()

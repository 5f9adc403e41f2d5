"""Autopsy: was it real, what would have prevented it, and what to try."""

from __future__ import annotations

import streamlit as st

from app.autopsy import evidence, play, read_sequences, verdict, watched_episodes
from app.autopsy import loaders as own
from app.shell import downloads, follow_run, loaders, page, state
from app.shell.text import escape
from engine.intervention.autopsy.autopsy_result import Autopsy
from engine.intervention.autopsy.examine import kept_autopsy, why_no_autopsy
from engine.intervention.autopsy.html_file import render
from engine.store.read import Run


def downloads_of(run: Run, found: Autopsy) -> None:
    """The button; files are made when they are asked for."""
    name = f"{run.name}-round-{found.round}-autopsy"
    tables = {f"{name}-checks": lambda: verdict.table(found)}
    if found.arms:
        tables[f"{name}-arms"] = lambda: evidence.table(found)
    if found.on_records:
        tables[f"{name}-on-records"] = lambda: evidence.table_on_records(found)
    downloads.offer(tables, {f"{name}.html": ("HTML report of this autopsy", lambda: render(run, found).encode())})


def pictures(found: Autopsy) -> None:
    """What the verdict rests on, the main picture within sight."""
    if found.real is None:
        evidence.draw_change(found)
    else:
        left, right = st.columns([2, 3] if found.arms else [3, 2], gap="large")
        with left:
            evidence.draw_change(found)
        with right:
            evidence.draw_arms(found)
    if not found.next:
        verdict.draw_checks(found)
        return
    left, right = st.columns(2, gap="large")
    with left:
        evidence.draw_next(found)
    with right:
        verdict.draw_checks(found)


def autopsy() -> None:
    """The page."""
    name, run = page.current_run()
    follow_run.draw(run)
    round = page.current_round(run)
    if why := why_no_autopsy(run, round):
        st.info(escape(f"{why[:1].upper()}{why[1:]}."), icon=":material/info:")
        state.stop()
    snapshot = loaders.load_snapshot(run, round)
    job = play.job_of(run, snapshot)
    if not own.are_checked_at_once(run, round):
        st.info("Replaying this round's update takes a while, so that its record is checked in the background, too.")
        play.draw(job, run, snapshot)
        state.stop()
    found = kept_autopsy(run, snapshot, own.load_checks(run, round))
    verdict.draw(found, run, snapshot)
    if found.waits:
        play.draw(job, run, snapshot)
    verdict.draw_failed(found, run, snapshot)
    if found.waits and found.real is None:
        verdict.draw_checks(found)
    else:
        pictures(found)
        watched_episodes.draw(found, run, name, snapshot)
        read_sequences.draw(found, run, name, snapshot)
    with st.container(horizontal=True, vertical_alignment="center"):
        downloads_of(run, found)
        page.to_records(run, name, round)
        st.page_link("views/timeline.py", label="Timeline", query_params={"run": name, "round": str(round)})


autopsy()

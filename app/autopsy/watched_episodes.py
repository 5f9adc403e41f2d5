"""Three episodes to watch, side by side, and the film of the one that was asked for."""

from __future__ import annotations

import streamlit as st

from app.shell import kinds, page, state
from app.shell.films import WIDEST, film, films_of
from app.shell.text import escape
from engine.analysis.rendering import episode_records
from engine.analysis.video import FORMAT
from engine.intervention.autopsy.autopsy_result import Autopsy
from engine.intervention.autopsy.watched_episodes import PlayedSeed, RecordedEpisode, Watched
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run
from engine.store.words import counted

NONE = "none"
MOST_FRAMES = 80
"""Of the film of a recorded episode; a longer one is thinned to as many."""


@page.fragment
def draw(found: Autopsy, run: Run, name: str, snapshot: ControlSnapshot) -> None:
    """The episodes and why they were chosen, with a button each; a film is made once it is asked for.

    Args:
        found: the autopsy.
        run: its run.
        name: the run's id on the pages.
        snapshot: its round.
    """
    if not found.watch:
        return
    options = [NONE, *(str(i) for i in range(1, len(found.watch) + 1))]
    chosen = state.choose("watch", options, NONE, scope=f"{name} {snapshot.hash}")
    st.subheader("Episodes to watch", anchor=False)
    with st.container(key="autopsy_watch"):
        for option, column, one in zip(options[1:], st.columns(3), found.watch, strict=False):
            with column.container(border=True, height="stretch"):
                _card(one, option, chosen)
        if chosen != NONE:
            _play(found.watch[int(chosen) - 1], run, name, snapshot)


def _card(one: Watched, option: str, chosen: str) -> None:
    if isinstance(one, PlayedSeed):
        st.markdown(f"Seed {one.seed}: **{one.before:.4g}** before the update, **{one.after:.4g}** after it")
    else:
        st.markdown(f"Episode {one.episode}: **{one.returned:.4g}** in {counted(len(one.records), 'record')}")
    st.caption(escape(f"{one.why[:1].upper()}{one.why[1:]}."))
    shown = option == chosen
    st.button(
        "Close" if shown else "Watch",
        key=f"watch_{option}",
        icon=":material/close:" if shown else ":material/movie:",
        on_click=state.put,
        args=({"watch": NONE if shown else option},),
    )


def _play(one: Watched, run: Run, name: str, snapshot: ControlSnapshot) -> None:
    if isinstance(one, PlayedSeed):
        _play_both(one, run, snapshot)
    else:
        _play_recorded(one, run, name, snapshot)


def _play_both(one: PlayedSeed, run: Run, snapshot: ControlSnapshot) -> None:
    k = snapshot.round
    films, complaint = films_of(run, (k, k + 1), one.seed)
    if complaint:
        st.info(escape(f"No films: {complaint}."), icon=":material/videocam_off:")
    for column, made, when, returned in zip(
        st.columns(2), films, ("Before the update", "After it"), (one.before, one.after), strict=False
    ):
        with column:
            st.markdown(f"**{when}**: return {returned:.4g}")
            st.video(
                made, FORMAT, autoplay=True, muted=True, width=WIDEST, alt=f"{when}: the episode of seed {one.seed}"
            )
    if films:
        st.caption(
            "Both policies meet the same start and the same random numbers, and both films are equally fast. It is one episode "
            "of each, an example and not a measurement."
        )


def _play_recorded(one: RecordedEpisode, run: Run, name: str, snapshot: ControlSnapshot) -> None:
    records = episode_records(snapshot, one.records[0], MOST_FRAMES)
    made, complaint = film(snapshot, tuple(records.tolist()))
    if complaint:
        st.info(escape(f"No film: {complaint}."), icon=":material/videocam_off:")
    else:
        st.video(made, FORMAT, autoplay=True, muted=True, width=WIDEST, alt=f"Film of episode {one.episode}")
    where = kinds.records_page(run)
    st.page_link(
        f"views/{where.view}.py",
        label=f"Its last step on {where.title}",
        icon=where.icon,
        query_params={"run": name, "round": str(snapshot.round), "inspect": str(one.records[-1])},
    )

"""The episode around a record: a strip of frames, a film, a scrubber, and what the policy thought of the step that is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.records import action_probabilities
from app.shell import state
from app.shell.films import WIDEST, film, frames
from app.shell.text import escape
from engine.analysis.rendering import episode_records
from engine.analysis.video import FORMAT
from engine.core.scores import Scores
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

MOST_FRAMES = 80
"""Frames of an episode; a longer one is thinned to as many."""
STRIP = 5
"""Frames beside each other above the scrubber."""


def draw(run: Run, snapshot: ControlSnapshot, scores: Scores, fields: dict[str, NDArray[Any]], record: int) -> None:
    """The inspector's tab about the record's episode.

    Args:
        run: the run.
        snapshot: its round.
        scores: influence of its records.
        fields: their columns.
        record: its number.
    """
    records = episode_records(snapshot, record, MOST_FRAMES)
    pictures, trouble = frames(snapshot, tuple(records.tolist()))
    if trouble:
        where = "This episode" if not pictures else f"What comes after record {records[len(pictures) - 1]}"
        st.info(f"{where} can't be shown: {escape(trouble)}.", icon=":material/image_not_supported:")
    if not pictures:
        return
    asked, records = tuple(records.tolist()), records[: len(pictures)]
    whole = int((snapshot.buffer.episode == snapshot.buffer.episode[record]).sum())
    thinned = f", thinned to {len(records)} frames" if whole > MOST_FRAMES else ""
    number = int(fields["episode"][record])
    st.caption(f"Episode {number}: {whole} records in this round{thinned}.")
    _stand_at(snapshot, records, record)
    shown = np.unique(np.linspace(0, len(records) - 1, STRIP).round().astype(int))
    with st.container(horizontal=True, gap="small", key="strip"):
        for i in shown:
            st.image(pictures[i], width=58, caption=str(fields["step in episode"][records[i]]))
    if len(records) > 1:
        st.fragment(_film)(snapshot, asked, number)
    st.fragment(_scrubber)(run, snapshot, scores, fields, records, pictures)


def _stand_at(snapshot: ControlSnapshot, records: NDArray[np.int64], record: int) -> None:
    """Begin at the inspected record, or the frame next to it, whenever another one is inspected."""
    frame_of = f"{snapshot.hash}:{record}"
    if state.get("frame_about") != frame_of or state.get("frame") not in records:
        nearest = int(records[np.abs(records - record).argmin()])
        state.put({"frame": nearest, "frame_about": frame_of})


def _film(snapshot: ControlSnapshot, records: tuple[int, ...], episode: int) -> None:
    """The episode as a film, for those who ask for it: the browser plays it, and goes back and forth in it."""
    if not st.toggle("Play the episode", key="play_episode"):
        return
    made, trouble = film(snapshot, records)
    if trouble:
        st.info(f"{escape(trouble)}.", icon=":material/videocam_off:")
        return
    st.video(made, FORMAT, loop=True, autoplay=True, muted=True, width=WIDEST, alt=f"Film of episode {episode}")


def _scrubber(
    run: Run,
    snapshot: ControlSnapshot,
    scores: Scores,
    fields: dict[str, NDArray[Any]],
    records: NDArray[np.int64],
    pictures: list[bytes],
) -> None:
    """A step of the episode, its picture, and what the policy thought of it."""
    steps = {int(i): int(fields["step in episode"][i]) for i in records}
    if len(records) > 1:
        st.select_slider("Step in the episode", list(steps), key="frame", format_func=lambda i: str(steps[i]))
    here = int(state.get("frame", records[0]))
    if st.button("Inspect this record", key="inspect_frame", icon=":material/search:", on_click=_inspect, args=(here,)):
        st.rerun()
    left, right = st.columns(2)
    with left:
        st.image(
            pictures[int(np.flatnonzero(records == here)[0])],
            width="stretch",
            alt=f"The environment in the state of record {here}",
        )
    with right:
        action_probabilities.draw(run, snapshot, here, "frame", mode_bar=False)
    influence = float(scores.influence[here])
    word = "raised the target" if influence > 0 else "lowered it" if influence < 0 else "did nothing"
    st.markdown(
        f"Record **{here}**, step {steps[here]}: influence **{influence:+.3g}**, {word}; "
        f"reward {float(fields['reward'][here]):.3g}, advantage {float(fields['advantage'][here]):+.3g}"
    )


def _inspect(record: int) -> None:
    state.put({"inspect": record})

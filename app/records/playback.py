"""The episode around a record: its film with the influence below it, a scrubber, and what the policy thought of a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.charts import records as charts
from app.charts.theme import influence_limit
from app.records import action_probabilities
from app.shell import loaders, state
from app.shell.chart import draw_chart
from app.shell.films import WIDEST, film, frames, frames_seconds
from app.shell.text import escape
from engine.analysis.rendering import episode_records, to_png
from engine.analysis.video import FORMAT
from engine.core.scores import Scores
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run
from engine.terminal import duration

MOST_FRAMES = 80
"""Frames of an episode; a longer one is thinned to as many, and the inspected record."""
AT_ONCE_SECONDS = 1.5
"""What takes longer is drawn when somebody asks for it."""
_ASKED = "the episode whose frames were asked for"


def draw(
    run: Run, snapshot: ControlSnapshot, scores: Scores, fields: dict[str, NDArray[Any]], record: int, word: str
) -> None:
    """The inspector's tab about the record's episode.

    Args:
        run: the run.
        snapshot: its round.
        scores: influence of its records.
        fields: their columns.
        record: its number.
        word: why the influence must not look sure; empty where it may.
    """
    thinned = episode_records(snapshot, record, MOST_FRAMES)
    whole = int((snapshot.buffer.episode == snapshot.buffer.episode[record]).sum())
    pictures, trouble = _frames(snapshot, thinned, record)
    if trouble:
        where = "This episode" if not pictures else f"What comes after record {thinned[len(pictures) - 1]}"
        st.info(f"{where} can't be drawn: {escape(trouble)}.", icon=":material/image_not_supported:")
    shown = _with_the_record(snapshot, dict(zip(thinned.tolist(), pictures, strict=False)), record)
    number = int(fields["episode"][record])
    if shown:
        _stand_at(snapshot, list(shown), record)
        st.fragment(_scrubber)(run, snapshot, scores, fields, shown, word)
        if len(shown) > 1:
            st.fragment(_film)(snapshot, tuple(thinned.tolist()), number)
    else:
        _strip(scores, fields, record, word)
    short = f", thinned to {len(shown)} frames" if len(shown) > 1 and whole > MOST_FRAMES else ""
    st.caption(f"Episode {number}: {whole} records in this round{short}.")


def _frames(snapshot: ControlSnapshot, thinned: NDArray[np.int64], record: int) -> tuple[list[bytes], str]:
    """As `frames`; none of an episode that takes long to draw, until somebody asks for them."""
    seconds = frames_seconds(snapshot, len(thinned))
    asked = f"{snapshot.hash}:{snapshot.buffer.episode[record]}"
    if seconds > AT_ONCE_SECONDS and state.get(_ASKED) != asked:
        st.button(
            f"Draw the episode's {len(thinned)} frames (about {duration(max(seconds, 1))})",
            key="draw_frames",
            icon=":material/movie:",
            on_click=state.put,
            args=({_ASKED: asked},),
        )
        return [], ""
    return frames(snapshot, tuple(thinned.tolist()))


def _with_the_record(snapshot: ControlSnapshot, pictures: dict[int, bytes], record: int) -> dict[int, bytes]:
    """The pictures by record, in order, and the inspected one's among them, if it can be drawn."""
    if record not in pictures:
        own = loaders.picture(snapshot, record)
        if not isinstance(own, str):
            pictures = {**pictures, record: to_png(own, WIDEST)}
    return dict(sorted(pictures.items()))


def _stand_at(snapshot: ControlSnapshot, records: list[int], record: int) -> None:
    """Begin at the inspected record, or the frame next to it, whenever another one is inspected."""
    frame_of = f"{snapshot.hash}:{record}"
    if state.get("frame_about") != frame_of or state.get("frame") not in records:
        nearest = min(records, key=lambda each: abs(each - record))
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
    pictures: dict[int, bytes],
    word: str,
) -> None:
    """A step of the episode, its picture, and what the policy thought of it."""
    steps = {i: int(fields["step in episode"][i]) for i in pictures}
    first = next(iter(pictures))
    here = int(state.get("frame", first))
    here = here if here in pictures else first
    left, right = st.columns([2, 3])
    with left:
        st.image(pictures[here], width="stretch", alt=f"The environment in the state of record {here}")
    with right:
        taken = snapshot.buffer.action[here]
        action_probabilities.draw(run, snapshot, here, taken, "frame", mode_bar=False)
    if len(pictures) > 1:
        st.select_slider("Step in the episode", list(steps), key="frame", format_func=lambda i: str(steps[i]))
    _strip(scores, fields, here, word)
    influence = float(scores.influence[here])
    did = "raised the target" if influence > 0 else "lowered it" if influence < 0 else "did nothing"
    st.markdown(
        f"Record **{here}**, step {steps[here]}: influence **{influence:+.3g}**, {did}; "
        f"reward {float(fields['reward'][here]):.3g}, advantage {float(fields['advantage'][here]):+.3g}"
    )
    if len(pictures) > 1 and st.button(
        "Inspect this record", key="inspect_frame", icon=":material/search:", on_click=_inspect, args=(here,)
    ):
        st.rerun()


def _strip(scores: Scores, fields: dict[str, NDArray[Any]], here: int, word: str) -> None:
    """The influence of the episode's records, below its film."""
    rows = np.flatnonzero(fields["episode"] == fields["episode"][here])
    draw_chart(
        charts.influence_strip(
            fields["step in episode"][rows],
            scores.influence[rows],
            int(fields["step in episode"][here]),
            influence_limit(scores.influence),
            state.is_dark(),
            word,
        ),
        key="influence_strip",
        config={"displayModeBar": False},
        alt="Influence over the steps of the episode; the tab Observation has the record's numbers",
    )


def _inspect(record: int) -> None:
    state.put({"inspect": record})

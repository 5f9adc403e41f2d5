"""The inspector: everything that is known of one record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.charts import records as charts
from app.charts.theme import influence_limit
from app.records import action_probabilities, playback
from app.scores import target_controls
from app.scores.by_term_and_layer import by_term
from app.shell import loaders, state
from app.shell.chart import draw_chart
from app.shell.text import escape
from engine.core.scores import Scores
from engine.kinds.control.fields import observation_components, observation_pictures
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

_LARGE = "inspector_open"
NUMBERS = ("advantage", "value", "reward", "return", "TD error", "log probability")
REPAIRED = {"td_error": "its TD error", "monte_carlo": "its return minus V(s)", "half_weight": "half of what it was"}
Fields = dict[str, NDArray[Any]]
Later = Callable[[], None]
"""Draws what takes a while, into the place that it has: to be called once all else is drawn."""


def choose(snapshot: ControlSnapshot, default: int) -> int:
    """Decide which record is inspected, at first `default`."""
    return int(state.choose("inspect", range(len(snapshot.buffer)), default, scope=snapshot.hash))


def draw(run: Run, snapshot: ControlSnapshot, scores: Scores, fields: Fields, word: str) -> Later:
    """Show the record that was chosen, and let another one be typed: beside the chart, or where it is opened large.

    Args:
        run: the run.
        snapshot: its round.
        scores: influence of its records.
        fields: their columns.
        word: why the influence must not look sure; empty where it may.

    Returns:
        What draws the rest of it.
    """
    if state.get(_LARGE):
        st.button("Open large", key="open_inspector", icon=":material/open_in_full:", disabled=True)
        _large(run, snapshot, scores, fields, word)
        return lambda: None
    return _contents(run, snapshot, scores, fields, word, is_large=False)


@st.dialog("Inspector", width="large", on_dismiss=lambda: state.put({_LARGE: False}))
def _large(run: Run, snapshot: ControlSnapshot, scores: Scores, fields: Fields, word: str) -> None:
    with state.fragment():
        _contents(run, snapshot, scores, fields, word, is_large=True)()


def _contents(
    run: Run, snapshot: ControlSnapshot, scores: Scores, fields: Fields, word: str, *, is_large: bool
) -> Later:
    n = len(snapshot.buffer)
    with st.container(key="inspector", border=True, gap="small"):
        head = st.empty()
        with st.container(horizontal=True, vertical_alignment="center"):
            record = int(
                st.number_input("Record", 0, n - 1, step=1, key="inspect", width=130, label_visibility="collapsed") or 0
            )
            _questions(snapshot, record)
            if not is_large:
                _to_large()
        with head.container(gap=None):
            st.markdown(f"**{escape(title(run, snapshot, fields, record))}**")
            st.markdown(influence_in_words(scores, record, word))
        if not snapshot.buffer.critic_kept[record]:
            st.caption("This record was dropped from the update.")
        elif not snapshot.buffer.kept[record]:
            st.caption("This record was dropped from the actor's loss; the critic trained on it.")
        elif snapshot.buffer.repaired[record]:
            took = REPAIRED[repair_of(run, snapshot, record)]
            st.caption(f"This record was repaired: the update took {took} in the place of its advantage.")
        return _views(run, snapshot, scores, fields, record, word)


def repair_of(run: Run, snapshot: ControlSnapshot, record: int) -> str:
    """What a repaired record took: a branch's own, which somebody chose, their TD errors, and others what the filter gives."""
    parent = run.manifest.parent
    is_chosen = parent is not None and parent.round == snapshot.round and record in parent.repaired
    return "td_error" if is_chosen else snapshot.config.repair


def title(run: Run, snapshot: ControlSnapshot, fields: Fields, record: int) -> str:
    """Which record it is, and what was done in it: `Round 44, episode 268, step 328: left engine (62 %)`."""
    where = f"Round {snapshot.round}, episode {fields['episode'][record]}, step {fields['step in episode'][record]}"
    return f"{where}: {action_probabilities.in_words(run, snapshot, record, snapshot.buffer.action[record])}"


def influence_in_words(scores: Scores, record: int, word: str) -> str:
    """What the scores say of a record, in a line of Markdown; the word says why that is not sure."""
    influence = float(scores.influence[record])
    rank = 1 + int((scores.influence > scores.influence[record]).sum())
    did = "raised the target" if influence > 0 else "lowered the target" if influence < 0 else "did nothing"
    said = f"Influence **{influence:+.4g}**, {did}; rank {rank} of {len(scores)}"
    return f"{said} :gray[({word})]" if word else said


def _to_large() -> None:
    st.button(
        "",
        key="open_inspector",
        type="tertiary",
        icon=":material/open_in_full:",
        shortcut="I",
        help="Open the inspected record in front of the page.",
        on_click=state.put,
        args=({_LARGE: True},),
    )


def _questions(snapshot: ControlSnapshot, record: int) -> None:
    """What one can ask from here."""
    st.button(
        "Why this?",
        key="ask_about",
        type="tertiary",
        icon=":material/help:",
        help="Which records made it do this? Asks about this state and action: the action target of this record.",
        on_click=target_controls.ask_about,
        args=([record],),
    )
    st.page_link(
        "views/behaviour.py",
        label="How did it form?",
        icon=":material/timeline:",
        query_params={
            "run": str(state.get("run")),
            "record": f"{snapshot.round}:{record}",
            "behaviour_of": "record",
        },
    )


def _views(run: Run, snapshot: ControlSnapshot, scores: Scores, fields: Fields, record: int, word: str) -> Later:
    views: dict[str, Callable[[], None]] = {
        "Frames": lambda: playback.draw(run, snapshot, scores, fields, record, word),
        "Observation": lambda: _observation(snapshot, scores, fields, record),
        "Policy": lambda: _policy(run, snapshot, record),
        "Episode": lambda: _episode(scores, fields, record, word),
    }
    state.choose("show", list(views), "Frames")
    tabs = st.tabs(list(views), key="show", on_change="rerun")
    opened = [(tab, view) for tab, view in zip(tabs, views.values(), strict=True) if tab.open]

    def later() -> None:
        for tab, view in opened:  # the others would be drawn unseen
            with tab:
                view()

    return later


def _picture(snapshot: ControlSnapshot, record: int) -> None:
    picture = loaders.picture(snapshot, record)
    if isinstance(picture, str):
        st.info(escape(picture), icon=":material/image_not_supported:")
    else:
        st.image(picture, width="stretch", alt=f"The environment in the state of record {record}")


def _table(numbers: dict[str, float]) -> None:
    st.table(
        pd.DataFrame({"": [f"{number:.4g}" for number in numbers.values()]}, index=[escape(name) for name in numbers]),
        border="horizontal",
        hide_header=True,
    )


def _observation(snapshot: ControlSnapshot, scores: Scores, fields: Fields, record: int) -> None:
    st.caption(f"Influence through the terms of its objective: {by_term(scores, [record])}")
    left, right = st.columns(2)
    with left:
        _picture(snapshot, record)
    with right:
        _table({name: float(fields[name][record]) for name in NUMBERS})
    _state(snapshot, record)


def _state(snapshot: ControlSnapshot, record: int) -> None:
    """The observation: as a picture, or as its numbers."""
    space, _ = snapshot.shown
    pictures = observation_pictures(snapshot, record)
    for name, picture in pictures.items():
        height, width, _ = picture.shape
        larger = max(1, 210 // max(height, width))
        st.image(
            picture.repeat(larger, axis=0).repeat(larger, axis=1), alt=f"The image that the policy saw {name}".strip()
        )
        of = f" ({escape(name)})" if name else ""
        st.caption(f"What the policy saw{of}: {height} x {width} pixels, colours stretched to the round's range.")
    if pictures and space.encoder == "image":
        return
    if snapshot.config.normalize_observation:
        st.caption("As the policy saw it: normalised by running statistics.")
    components = {name: float(values[record]) for name, values in observation_components(snapshot).items()}
    if space.kind == "discrete":
        number = int(components["state"])
        st.markdown(f"State **{number}**" + (f": {escape(space.names[number])}" if space.names else ""))
    else:
        _table(components)


def _policy(run: Run, snapshot: ControlSnapshot, record: int) -> None:
    taken = snapshot.buffer.action[record]
    if run.manifest.action_space.kind == "discrete":
        said = action_probabilities.in_words(run, snapshot, record, taken)
        st.caption(f"π(· | s) before the update → after it; the action taken was **{escape(said)}**.")
    else:
        st.caption(
            "π(· | s) before the update and after it, a Gaussian. The environment saw the action *taken* clipped to its bounds."
        )
    action_probabilities.draw(run, snapshot, record, taken, "action")


def _episode(scores: Scores, fields: Fields, record: int, word: str) -> None:
    rows = np.flatnonzero(fields["episode"] == fields["episode"][record])
    last = rows[-1]
    end = "terminated" if fields["terminated"][last] else "truncated" if fields["truncated"][last] else "goes on"
    here = int(fields["step in episode"][record])
    st.caption(
        f"Episode {int(fields['episode'][record])}: {len(rows)} records in this round, this is step {here}; the "
        f"episode {end} after the last. Rewards in this round sum to {float(fields['reward'][rows].sum()):.4g}, influence to "
        f"{float(scores.influence[rows].sum()):+.4g}."
    )
    draw_chart(
        charts.episode(
            fields["step in episode"][rows],
            scores.influence[rows],
            fields["value"][rows],
            fields["reward"][rows],
            here,
            influence_limit(scores.influence),
            state.is_dark(),
            word,
        ),
        key="episode_strip",
        alt="Influence, value and reward over the steps of the record's episode",
    )

"""The state that somebody typed: drawn, with what the policy does in it, and the way to how that came to be."""

from __future__ import annotations

from typing import Any

import streamlit as st
from numpy.typing import NDArray

from app.records import action_probabilities
from app.shell import loaders, state
from app.shell.text import escape
from engine.analysis.rendering import records_in_state
from engine.core.targets.of_records import ActionTarget
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

KEYS = ("state", "typed_action")
"""What a link to the same question on Behaviour takes along."""


def draw(run: Run, snapshot: ControlSnapshot, target: ActionTarget) -> None:
    """What is asked about.

    Args:
        run: the run.
        snapshot: its round.
        target: log pi of one action in a typed state.
    """
    observation, action = target.observation, target.action[0]
    with st.container(key="asked_state", border=True, gap="small"):
        said = action_probabilities.in_words(run, snapshot, observation, action)
        st.markdown(f"**{escape(f'Round {snapshot.round}, {name_of(snapshot, observation)}: {said}')}**")
        left, right = st.columns([1, 2])
        with left:
            picture(snapshot, observation)
        with right:
            action_probabilities.draw(run, snapshot, observation, action, "asked", mode_bar=False)
        with st.container(horizontal=True, vertical_alignment="center"):
            _records(snapshot, observation)
            st.page_link(
                "views/behaviour.py",
                label="How did this form?",
                icon=":material/timeline:",
                query_params={
                    "run": str(state.get("run")),
                    "behaviour_of": "state",
                    **{key: str(state.get(key)) for key in KEYS},
                },
            )


def name_of(snapshot: ControlSnapshot, observation: NDArray[Any]) -> str:
    """What a typed state is called: `state 14 (row 3, column 2)`; a box has no name."""
    space = snapshot.observation_space
    if space.kind != "discrete":
        return "the typed state"
    number = int(observation[0])
    return f"state {number}" + (f" ({space.names[number]})" if len(space.names) == space.n else "")


def picture(snapshot: ControlSnapshot, observation: NDArray[Any]) -> None:
    """The state drawn, or a line that says why it is not."""
    drawn = loaders.state_picture(snapshot, observation)
    if isinstance(drawn, str):
        st.info(f"{escape(drawn[:1].upper() + drawn[1:])}.", icon=":material/image_not_supported:")
    else:
        st.image(drawn, width="stretch", alt="The environment in the typed state")


def _records(snapshot: ControlSnapshot, observation: NDArray[Any]) -> None:
    """How often the round was there, and a way to one of these records."""
    seen = records_in_state(snapshot, observation)
    if not len(seen):
        st.caption("No record of this round was in this state.")
        return
    st.button(
        f"{len(seen)} record{'s' if len(seen) > 1 else ''} of this round in it",
        key="inspect_asked",
        type="tertiary",
        icon=":material/search:",
        help="Inspect the first of them.",
        on_click=state.put,
        args=({"inspect": int(seen[0])},),
    )

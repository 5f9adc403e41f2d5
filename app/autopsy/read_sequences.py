"""Three sequences to read, side by side, each with a way to its page."""

from __future__ import annotations

import streamlit as st

from app.shell import kinds
from app.shell.text import escape
from engine.intervention.autopsy.autopsy_result import Autopsy
from engine.intervention.autopsy.read_sequences import ReadSequence
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.read import Run

MOST_LETTERS = 300
"""Of a prompt or a response that are shown here; all of it is on its page."""


def draw(found: Autopsy, run: Run, name: str, snapshot: LanguageSnapshot) -> None:
    """The sequences and why they were chosen; nothing where there are none.

    Args:
        found: the autopsy.
        run: its run.
        name: the run's id on the pages.
        snapshot: its round.
    """
    if not found.read:
        return
    st.subheader("Sequences to read", anchor=False)
    with st.container(key="autopsy_read"):
        for column, one in zip(st.columns(3), found.read, strict=False):
            with column.container(border=True, height="stretch"):
                _card(one, run, name, snapshot)


def _card(one: ReadSequence, run: Run, name: str, snapshot: LanguageSnapshot) -> None:
    moved = "" if one.moved is None else f", log-probability **{one.moved:+.3g}** by the update"
    st.markdown(f"Sequence {one.record}: reward **{one.reward:.3g}**{moved}")
    st.caption(escape(f"{one.why[:1].upper()}{one.why[1:]}."))
    for what, text in (
        ("Prompt", snapshot.buffer.prompt[one.record]),
        ("Response", snapshot.buffer.response[one.record]),
    ):
        st.markdown(f"**{what}**  {escape(_beginning(text))}")
    page = kinds.records_page(run)
    st.page_link(
        f"views/{page.view}.py",
        label=f"Read it on {page.title}",
        icon=page.icon,
        query_params={"run": name, "round": str(snapshot.round), "record": str(one.record)},
    )


def _beginning(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"

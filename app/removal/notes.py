"""The note of an intervention: shown as it was typed, and edited in a popover."""

from __future__ import annotations

import streamlit as st

from app.shell import page, state
from app.shell.text import escape
from engine.errors import EngineError
from engine.intervention.notes import read_note, write_note
from engine.jobs.folder import Job


def draw(job: Job) -> None:
    """The note, if there is one, and a button to write it. The disk is the truth, also where another tab wrote it."""
    key = f"note_{job.id}"
    try:
        note = read_note(job.folder)
    except EngineError as error:
        st.error(f"{escape(error)}. Nothing is written over it.", icon=":material/error:")
        return
    if state.get(f"read_{key}") != note:
        state.put({key: note, f"read_{key}": note})
    if note:
        st.markdown(escape(note))
    with st.popover("Edit the note" if note else "Write a note", icon=":material/edit_note:", key=f"open_{key}"):
        st.text_area(
            "Note",
            key=key,
            height=120,
            placeholder="What was the question? What came of it?",
            on_change=_save,
            args=(job, key),
        )
        st.caption("Kept beside the intervention when you leave the field.")


@page.careful
def _save(job: Job, key: str) -> None:
    """Write what was typed (a callback)."""
    write_note(job.folder, str(state.get(key) or ""))

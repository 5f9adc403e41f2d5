"""Name, tags and archive of the runs whose rows are ticked. The disk is the truth, also where another tab wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from app.runs.listed import Listed
from app.shell import page, state
from engine.store.run_notes import LONGEST_NAME, LONGEST_TAG, MOST_TAGS, RunNotes, change_run_notes
from engine.store.words import counted

NAME, TAGS = "run_name", "run_tags"
_READ = "what was read of the run's name and tags"


def draw(runs: Sequence[Listed], tags: Sequence[str]) -> None:
    """The controls of some runs, one at least.

    Args:
        runs: whose rows are ticked.
        tags: that runs have by now.
    """
    if len(runs) == 1:
        with st.popover("Name and tags", icon=":material/label:", key="edit_notes"):
            _edit(runs[0], tags)
    archived = all(run.notes.archived for run in runs)
    st.button(
        "Take out of the archive" if archived else "Archive",
        icon=":material/unarchive:" if archived else ":material/archive:",
        key="archive_runs",
        on_click=_archive,
        args=(runs, not archived),
        help="Archived runs are not listed until you ask for them. Nothing is deleted.",
    )


def _edit(run: Listed, tags: Sequence[str]) -> None:
    read = (run.name, run.notes.name, run.notes.tags)
    if state.get(_READ) != read:
        state.put({NAME: run.notes.name, TAGS: list(run.notes.tags), _READ: read})
    st.text_input("Shown name", key=NAME, max_chars=LONGEST_NAME, placeholder=run.name, on_change=_rename, args=(run,))
    st.multiselect(
        "Tags",
        sorted({*tags, *run.notes.tags, *(state.get(TAGS) or ())}),
        key=TAGS,
        accept_new_options=True,
        max_selections=MOST_TAGS,
        placeholder="choose or type tags",
        on_change=_tag,
        args=(run,),
    )
    st.caption("Kept beside the run's data; its folder and its addresses stay as they are.")


def _change(run: Listed, **said: object) -> RunNotes:
    return change_run_notes(run.path, lambda notes: replace(notes, **said), run.folder)  # type: ignore[arg-type]


@page.careful
def _rename(run: Listed) -> None:
    _change(run, name=" ".join(str(state.get(NAME) or "").split()))


@page.careful
def _tag(run: Listed) -> None:
    cut = (" ".join(str(tag).split())[:LONGEST_TAG] for tag in state.get(TAGS) or ())
    _change(run, tags=tuple(dict.fromkeys(tag for tag in cut if tag)))


@page.careful
def _archive(runs: Sequence[Listed], archived: bool) -> None:
    for run in runs:
        _change(run, archived=archived)
    where = "archived; 'Show archived' lists them" if archived else "out of the archive"
    st.toast(f"{counted(len(runs), 'run')} {where}.")

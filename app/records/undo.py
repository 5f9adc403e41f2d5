"""Undo and redo of what happened to a round's selection, basket and groups; what is remembered is on disk."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.scores import target_controls
from app.shell import page, selection
from app.shell.text import escape
from engine.intervention.record_sets import BASKET, Change, name_of_group, redo, undo
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def draw(run: Run, snapshot: Snapshot) -> None:
    """The two buttons; their help says what would be undone."""
    sets, _ = selection.kept(run, snapshot.round)
    for word, shortcut, changes, step in (("Undo", "U", sets.undo, undo), ("Redo", "Shift+U", sets.redo, redo)):
        last = changes[-1] if changes else None
        st.button(
            "",
            key=word.lower(),
            icon=f":material/{word.lower()}:",
            shortcut=shortcut,
            disabled=last is None,
            help=f"{word}: {sentence(last)}" if last else f"Nothing to {word.lower()}",
            on_click=_step,
            args=(run, snapshot, step),
        )


def sentence(change: Change) -> str:
    """What a change did, in words."""
    name = name_of_group(change.of)
    where = f"the {escape(change.of)}" if name is None else f"the group {escape(name)}"
    parts = [
        f"{count} record{'' if count == 1 else 's'} {way} {where}"
        for count, way in ((len(change.added), "into"), (len(change.removed), "out of"))
        if count
    ]
    return ", ".join(parts)


@page.careful
def _step(run: Run, snapshot: Snapshot, step: Callable[[Run, int], Change | None]) -> None:
    done = step(run, snapshot.round)
    selection.changed()
    if done is not None and done.of == BASKET:
        target_controls.basket_changed()

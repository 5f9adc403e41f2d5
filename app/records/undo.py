"""Undo and redo of what happened to a round's selection, basket and groups; what is remembered is on disk."""

from __future__ import annotations

from app.scores import target_controls
from app.shell import page, presses, selection
from engine.intervention.record_sets import BASKET, Change, name_of_group, redo, undo
from engine.store.read import Run
from engine.store.snapshot import Snapshot

STEPS = {"undo": undo, "redo": redo}


def draw(run: Run, snapshot: Snapshot) -> None:
    """The two buttons, of which every press counts; their help says what would be undone."""
    sets, _ = selection.kept(run, snapshot.round)

    @page.careful
    def step() -> None:
        done = [STEPS[key](run, snapshot.round) for key in presses.new(STEPS)]
        selection.changed()
        if any(change is not None and change.of == BASKET for change in done):
            target_controls.basket_changed()

    for key, shortcut, changes in (("undo", "U", sets.undo), ("redo", "Shift+U", sets.redo)):
        says = f"{key.capitalize()}: {sentence(changes[-1])}" if changes else f"Nothing to {key}"
        presses.button(key, help=says, icon=key, shortcut=shortcut, on_press=step, is_slim=True, is_idle=not changes)


def sentence(change: Change) -> str:
    """What a change did, in words."""
    name = name_of_group(change.of)
    where = f"the {change.of}" if name is None else f"the group {name}"
    parts = [
        f"{count} record{'' if count == 1 else 's'} {way} {where}"
        for count, way in ((len(change.added), "into"), (len(change.removed), "out of"))
        if count
    ]
    return ", ".join(parts)

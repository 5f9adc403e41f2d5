"""Undo and redo of what happened to a round's selection, basket and groups; what is remembered is on disk."""

from __future__ import annotations

from collections.abc import Callable

from app.scores import target_controls
from app.shell import page, presses, selection
from engine.intervention.record_sets import BASKET, Change, name_of_group, redo, undo
from engine.store.read import Run
from engine.store.snapshot import Snapshot


def draw(run: Run, snapshot: Snapshot) -> None:
    """The two buttons; their help says what would be undone."""
    sets, _ = selection.kept(run, snapshot.round)
    steps = {"undo": undo, "redo": redo}

    @page.careful
    def step() -> None:
        for key in presses.new(steps):
            _step(run, snapshot, steps[key])

    for key, shortcut, changes in (("undo", "U", sets.undo), ("redo", "Shift+U", sets.redo)):
        last = changes[-1] if changes else None
        presses.button(
            key,
            help=f"{key.capitalize()}: {sentence(last)}" if last else f"Nothing to {key}",
            icon=key,
            shortcut=shortcut,
            on_press=step,
            disabled=last is None,
            is_slim=True,
        )


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


def _step(run: Run, snapshot: Snapshot, step: Callable[[Run, int], Change | None]) -> None:
    done = step(run, snapshot.round)
    selection.changed()
    if done is not None and done.of == BASKET:
        target_controls.basket_changed()

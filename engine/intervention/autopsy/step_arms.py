"""Smaller steps: what an update with more cautious settings would have made of a round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.intervention.autopsy.arm import Arm, left_out, with_settings
from engine.store.snapshot import Snapshot

TARGET_KL = 0.01
"""As spinningup and Stable-Baselines3's examples have it; of an update that has one already, half of that."""
LARGER = 4
"""Times as large are larger minibatches."""

STEPS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("half the learning rate", "learning_rate", lambda rate: rate / 2),
    ("stopped by target_kl", "target_kl", lambda limit: TARGET_KL if limit is None else limit / 2),
    ("half the clip range", "clip_range", lambda clip: clip / 2),
    ("half the epochs", "n_epochs", lambda epochs: max(1, epochs // 2)),
    ("larger minibatches", "batch_size", lambda size: LARGER * size),
)
"""Name of the arm, setting, and what becomes of it; the mildest first."""


def step_arms(snapshot: Snapshot) -> Iterator[Arm]:
    """A quarter of the learning rate, which decides, and the milder remedies."""
    yield _arm(snapshot, "a quarter of the learning rate", "learning_rate", lambda rate: rate / 4, lead=True)
    for name, setting, change in STEPS:
        yield _arm(snapshot, name, setting, change)


def _arm(snapshot: Snapshot, name: str, setting: str, change: Callable[[Any], Any], lead: bool = False) -> Arm:
    try:
        before = kind_of(snapshot).setting(snapshot, setting)
    except BadInputError as error:
        return left_out(name, "step", str(error), lead)
    if setting == "batch_size" and before >= len(snapshot.buffer):
        return left_out(name, "step", "a minibatch has all records already")
    if before == change(before):
        return left_out(name, "step", f"{setting} is {before} already")
    return with_settings(name, "step", snapshot, {setting: change(before)}, lead)

"""The arms of an autopsy: what the round's update would have made of it, had one thing been otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.analysis.checks.checked import Check as RoundCheck
from engine.core.kind import kind_of
from engine.core.replays.replay import replay
from engine.errors import BadInputError
from engine.store.snapshot import Snapshot

Cause = Literal["order", "data", "step"]
Check = Callable[[], None]
Made = Callable[[Snapshot, int, Check], Any]
"""(round, which of the arm's replicates, called now and then) -> the agent at another theta(k+1)."""


@dataclass(frozen=True)
class Arm:
    """One thing that is otherwise."""

    name: str
    cause: Cause
    """What a fall is the doing of that is not there in this arm."""
    replicates: int
    agent: Made

    def __repr__(self) -> str:
        return f"Arm({self.name}, {self.replicates} times)"


def _other_order(snapshot: Snapshot, which: int, check: Check) -> Any:
    return replay(snapshot, order=which + 1, on_step=check).agent


def _data_anew(snapshot: Snapshot, which: int, check: Check) -> Any:
    """Collect the round again from theta(k), with other luck, and update on it."""
    kind = kind_of(snapshot)
    learner = kind.after(snapshot, kind.agent(snapshot), Path(), {})
    try:
        learner.round = snapshot.round
        learner.reseed(np.random.default_rng([snapshot.config.seed, snapshot.round, which]))
        check()
        learner.update(learner.collect(), check)
        return learner.agent
    finally:
        if hasattr(learner, "close"):
            learner.close()


def _with_settings(**changes: Callable[[Any], Any]) -> Made:
    """The update with some settings changed, in the recorded order and in others."""

    def agent(snapshot: Snapshot, which: int, check: Check) -> Any:
        made = {name: change(getattr(snapshot.config, name)) for name, change in changes.items()}
        in_force = {**snapshot.in_force, **{name: value for name, value in made.items() if name in snapshot.in_force}}
        changed = snapshot.changed(config=replace(snapshot.config, **made), in_force=in_force)
        return replay(changed, order=which, on_step=check).agent

    return agent


ARMS = (
    Arm("other minibatch orders", "order", 6, _other_order),
    Arm("data collected anew", "data", 4, _data_anew),
    Arm("a quarter of the learning rate", "step", 4, _with_settings(learning_rate=lambda rate: rate / 4)),
    Arm("half the learning rate", "step", 4, _with_settings(learning_rate=lambda rate: rate / 2)),
)


def possible(snapshot: Snapshot, checks: Sequence[RoundCheck] = ()) -> Iterator[tuple[Arm, str]]:
    """Every arm with why it can't be had for a round; empty where it can.

    Args:
        snapshot: the round.
        checks: what is known of it; an environment that is another one now gives no data like the round's.
    """
    kind = kind_of(snapshot)
    changed = next((each.what for each in checks if each.ok is False and each.fault == "environment"), "")
    for arm in ARMS:
        why = (kind.no_training or changed) if arm.cause == "data" else ""
        try:
            kind.check_replayable(snapshot)
        except BadInputError as error:
            why = why or str(error)
        yield arm, why

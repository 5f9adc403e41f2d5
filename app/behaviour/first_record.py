"""Which record the Behaviour page begins with, where nobody chose one: one in which something is to be seen."""

from __future__ import annotations

import numpy as np

from app.shell import state
from app.shell.cached import cached
from engine.core.kind import kind_of
from engine.errors import EngineError
from engine.kinds.control.blueprint import Blueprint
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run


def of_round(run: Run, snapshot: ControlSnapshot) -> int:
    """The record that was inspected last, if there is one, else the one whose action the update changed most."""
    inspected = state.get("inspect")
    if isinstance(inspected, int) and inspected < len(snapshot.buffer):
        return inspected
    return most_changed(run, snapshot)


@cached(max_entries=64)
def most_changed(run: Run, snapshot: ControlSnapshot) -> int:
    """The record whose action became more or less likely by the update than any other's did.

    Where the policies can't be made here, or the one after the update is not kept, the record of the largest advantage: the
    update is likely to have changed that one.
    """
    try:
        kind, blueprint = kind_of(snapshot), Blueprint.of(snapshot)
        after = blueprint.policy(run.checkpoint(snapshot.round + 1))
        before, then = (
            kind.log_probs_by(policy, snapshot) for policy in (blueprint.policy(snapshot.checkpoint), after)
        )
        is_discrete = run.manifest.action_space.kind == "discrete"
        change = np.exp(then) - np.exp(before) if is_discrete else then - before
    except EngineError:
        change = snapshot.buffer.advantage
    return int(np.nan_to_num(np.abs(change)).argmax())

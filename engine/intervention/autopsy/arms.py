"""All arms of an autopsy, by the cause that each asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from engine.analysis.checks.checked import Check as RoundCheck
from engine.core.kind import kind_of
from engine.core.replays.replay import check_replayable, replay
from engine.errors import BadInputError
from engine.intervention.autopsy.advantage_arms import advantage_arms
from engine.intervention.autopsy.arm import DATA_ANEW, Arm, Check, LeftOutError
from engine.intervention.autopsy.critic_arm import critic_arm
from engine.intervention.autopsy.record_arms import record_arms
from engine.intervention.autopsy.step_arms import step_arms
from engine.intervention.autopsy.worst_records import WorstRecords
from engine.kinds.control.stepper import StateNotRestoredError
from engine.store.snapshot import Snapshot


def possible(snapshot: Snapshot, checks: Sequence[RoundCheck] = ()) -> Iterator[Arm]:
    """Every arm, of which `why_not` says why it can't be had for a round; nothing is replayed for it.

    Args:
        snapshot: the round.
        checks: what is known of it; an environment that is another one now gives no data like the round's.
    """
    try:
        check_replayable(snapshot)
        never = ""
    except BadInputError as error:
        never = str(error)
    for arm in _arms(snapshot, checks):
        yield replace(arm, why_not=never or arm.why_not)


def _arms(snapshot: Snapshot, checks: Sequence[RoundCheck]) -> Iterator[Arm]:
    kind, worst = kind_of(snapshot), WorstRecords(snapshot)
    changed = next((each.what for each in checks if each.ok is False and each.fault == "environment"), "")
    yield Arm("other minibatch orders", "order", partial(_other_order, snapshot), lead=True)
    yield Arm(
        DATA_ANEW,
        "data",
        partial(_data_anew, snapshot),
        "from theta(k), with other luck",
        lead=True,
        why_not=kind.why_not_collected(snapshot) or changed,
    )
    yield from step_arms(snapshot)
    yield critic_arm(snapshot)
    yield from advantage_arms(snapshot, worst, checks)
    yield from record_arms(snapshot, worst)


def _other_order(snapshot: Snapshot, which: int, check: Check) -> Any:
    return replay(snapshot, order=which + 1, on_step=check).agent


def _data_anew(snapshot: Snapshot, which: int, check: Check) -> Any:
    """Collect the round again from theta(k), with other luck, and update on it."""
    kind, rng = kind_of(snapshot), np.random.default_rng([snapshot.config.seed, snapshot.round, which])
    check()
    try:
        collected = kind.collected_anew(snapshot, rng)
    except StateNotRestoredError as error:
        raise LeftOutError(str(error)) from None
    agent = kind.agent(snapshot)
    agent.update(collected.buffer, collected.minibatches, on_step=check)
    return agent

"""Other advantages of the same records: another lambda, TD errors, those that follow from the record, and those of rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from engine.analysis.checks.checked import Check as RoundCheck
from engine.analysis.restoring import CannotRestoreError
from engine.analysis.rollout_advantages import MonteCarlo, monte_carlo
from engine.core.advantage_steps import Trajectories
from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.executors import INLINE, Pool
from engine.intervention.autopsy.arm import Arm, Check, LeftOutError, left_out, replays
from engine.intervention.autopsy.worst_records import WorstRecords
from engine.store.snapshot import Snapshot

ANOTHER, TD, RECOMPUTED, ROLLOUTS = (
    "another lambda",
    "TD errors for advantages",
    "advantages recomputed from the record",
    "advantages of the worst records from rollouts",
)
LESS = 0.9
"""The other lambda where lambda is 1; else 1, so that the critic counts as little as it can."""
MOST_PLAYED = 200
"""Records whose advantages are estimated by rollouts."""
PLAYED = 4
"""Rollouts of each of the two means of such an advantage."""


def advantage_arms(snapshot: Snapshot, worst: WorstRecords, checks: Sequence[RoundCheck]) -> Iterator[Arm]:
    """Another lambda, which decides, and other sources of advantages."""
    kind, config = kind_of(snapshot), snapshot.config
    try:
        steps = kind.trajectories(snapshot)
    except BadInputError as error:
        for name in (ANOTHER, TD, RECOMPUTED):
            yield left_out(name, "advantages", str(error), lead=name == ANOTHER)
    else:
        other = LESS if config.gae_lambda == 1 else 1.0
        yield _with_lambda(snapshot, steps, ANOTHER, other, lead=True)
        yield _with_lambda(snapshot, steps, TD, 0.0)
        yield _recomputed(snapshot, steps, checks)
    yield _from_rollouts(snapshot, worst)


def _with_lambda(snapshot: Snapshot, steps: Trajectories, name: str, gae_lambda: float, lead: bool = False) -> Arm:
    """As if the settings had said another lambda: value targets are others as well."""
    config = snapshot.config

    def otherwise(check: Check) -> Snapshot:
        delta = steps.td_errors(config.gamma * config.gae_lambda)
        return _with(snapshot, steps, steps.advantages(delta, config.gamma * gae_lambda))

    said = f"gae_lambda {gae_lambda:g} in the place of {config.gae_lambda:g}"
    return Arm(name, "advantages", replays(snapshot, otherwise), said, lead, tries={"gae_lambda": gae_lambda})


def _recomputed(snapshot: Snapshot, steps: Trajectories, checks: Sequence[RoundCheck]) -> Arm:
    """As the settings say, where the check of them found others."""
    config, asked = snapshot.config, next((each for each in checks if each.name == "advantages"), None)
    if config.normalize_reward:
        return left_out(RECOMPUTED, "advantages", "by what rewards were divided is not in the record")
    if asked is None or asked.ok is not False:
        same = (
            "it leads to the recorded ones"
            if asked is not None and asked.ok
            else "whether they are others can't be told"
        )
        return left_out(RECOMPUTED, "advantages", same)

    def otherwise(check: Check) -> Snapshot:
        decay = config.gamma * config.gae_lambda
        return _with(snapshot, steps, steps.advantages(steps.td_errors_of_rewards(config.gamma, decay), decay))

    said = f"gamma {config.gamma:g} and lambda {config.gae_lambda:g}, as the settings say"
    return Arm(RECOMPUTED, "advantages", replays(snapshot, otherwise), said)


def _from_rollouts(snapshot: Any, worst: WorstRecords) -> Arm:
    """A-bar of the worst records, where the states in which they were made can be restored."""
    kind = kind_of(snapshot)
    if kind.no_rollouts:
        return left_out(ROLLOUTS, "advantages", kind.no_rollouts)

    def estimated(pool: Pool, check: Check) -> MonteCarlo:
        return monte_carlo(
            snapshot,
            worst.bottom(check, MOST_PLAYED),
            PLAYED,
            executor=pool.executor,
            workers=pool.workers,
            report=lambda doing, done, total: check(),
        )

    def prepare(pool: Pool, check: Check) -> None:
        with suppress(BadInputError, CannotRestoreError):  # whoever asks for the agent is told
            estimated(pool, check)

    def otherwise(check: Check) -> Snapshot:
        try:
            found = estimated(INLINE, check)
        except CannotRestoreError as error:
            raise LeftOutError(str(error)) from None
        known = found.record[found.restored]
        if not len(known):
            raise LeftOutError("none of their states can be restored")
        advantage = snapshot.buffer.advantage.copy()
        advantage[known] = found.advantage[found.restored]
        return kind.with_advantages(snapshot, advantage)

    return Arm(
        ROLLOUTS,
        "advantages",
        replays(snapshot, otherwise),
        f"the bottom {MOST_PLAYED}, by {worst.words}; twice {PLAYED} rollouts each",
        rollouts=2 * PLAYED * MOST_PLAYED,
        prepare=prepare,
        scores=worst.scores,
    )


def _with(snapshot: Snapshot, steps: Trajectories, advantage: np.ndarray) -> Snapshot:
    return kind_of(snapshot).with_advantages(snapshot, advantage, returns=advantage + steps.value)

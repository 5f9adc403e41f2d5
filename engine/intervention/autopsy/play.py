"""Play the policies of an autopsy: those before and after the update, and where it was a fall, those of the arms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from engine.core.checkpoint import Tensors
from engine.core.kind import kind_of
from engine.core.replays.replay import replay
from engine.errors import BadInputError
from engine.executors import Progress
from engine.intervention.autopsy.arm import Arm, Check
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, EPISODES, Returns
from engine.intervention.autopsy.played_arms import (
    FIRST,
    MOST,
    cause_of,
    change,
    had,
    played,
    policy_of,
    replicates,
    undecided,
)
from engine.store.read import Run
from engine.store.snapshot import Snapshot

CHANGES_NOTHING = "it changes nothing here, the update leads to the same parameters"


def why_unplayed(snapshot: Snapshot) -> str:
    """Why no policy of a round can be played here; empty where one can."""
    try:
        return kind_of(snapshot).unplayed(snapshot) or kind_of(snapshot).unjudged(snapshot)
    except BadInputError as error:
        return str(error)


def fell(returns: Returns) -> bool:
    """Whether the policy got worse by the update for certain."""
    return change(returns).high < 0


def missing(returns: Returns, arms: Sequence[Arm]) -> list[str]:
    """Policies that are still to be played, as far as is known: the arms' only once there is a fall.

    First the arms that decide; then more of those that are open; then the others, those of the cause that is known by then
    first and those that need rollouts last.
    """
    first = [name for name in (BEFORE, AFTER) if name not in returns]
    if first or not fell(returns):
        return first
    there = had(arms, returns)
    controls = {arm.control for arm in there}
    deciding = [arm for arm in there if arm.lead or arm.name in controls]
    cause = cause_of(played(deciding, returns))
    others = sorted((arm for arm in there if arm not in deciding), key=lambda arm: (arm.rollouts, arm.cause != cause))
    more = _unplayed(deciding, returns, FIRST) or _unplayed(_open(deciding, returns), returns, MOST)
    return more + _unplayed(others, returns, FIRST)


def _open(deciding: Sequence[Arm], returns: Returns) -> list[Arm]:
    """Those of which more could change the verdict, with what they are held against; who has begun with more ends it."""
    names = undecided(played(deciding, returns))
    names += [arm.name for arm in deciding if FIRST < replicates(arm, returns) < MOST]
    more = [arm for arm in deciding if arm.name in names or replicates(arm, returns) == MOST]
    controls = {arm.control for arm in more}
    return [arm for arm in deciding if arm in more or arm.name in controls]


def _unplayed(arms: Sequence[Arm], returns: Returns, wanted: int) -> list[str]:
    return [name for arm in arms for which in range(wanted) if (name := policy_of(arm, which)) not in returns]


def play(run: Run, snapshot: Snapshot, arms: Sequence[Arm], returns: Returns, say: Progress) -> None:
    """Play what is missing; what is finished is kept.

    Args:
        run: the run.
        snapshot: its round.
        arms: those that can be had.
        returns: filled in.
        say: told what is played, and how many policies are done, of how many: two, until it is known whether there is a fall.

    Raises:
        BadInputError: policies of the round can't be evaluated.
    """
    if not missing(returns, arms):
        return
    kind, making = kind_of(snapshot), _Policies(run, snapshot, arms)
    evaluation = kind.evaluation(snapshot, {})
    done = len(returns)
    try:
        while left := missing(returns, arms):
            check = partial(say, f"playing the policy {left[0]}", done, done + len(left))
            check()
            agent = making.agent(left[0], returns, check)
            if agent is not None:
                player = kind.player(snapshot, agent)
                returns.keep(left[0], evaluation.returns(player, 0, returns.episodes_of(left[0]), check))
                done += 1
    finally:
        evaluation.close()


class _Policies:
    """Makes the policies of a round by their names."""

    def __init__(self, run: Run, snapshot: Snapshot, arms: Sequence[Arm]) -> None:
        self.run, self.snapshot = run, snapshot
        self.arms = {policy_of(arm, which): (arm, which) for arm in arms for which in range(MOST)}

    def agent(self, policy: str, returns: Returns, check: Check) -> Any:
        """The agent; None where its arm turns out to be nothing that can be played, which the returns remember."""
        kind, snapshot = kind_of(self.snapshot), self.snapshot
        if policy == BEFORE:
            return kind.agent(snapshot)
        if policy == AFTER:
            return kind.agent(snapshot.changed(checkpoint=self.run.checkpoint(snapshot.round + 1)))
        arm, which = self.arms[policy]
        try:
            agent = arm.agent(which, check)
        except BadInputError as error:
            returns.leave_out(arm.name, str(error))
            return None
        if which == 0 and _same(agent.tensors(), self.as_recorded):
            returns.leave_out(arm.name, CHANGES_NOTHING)
            return None
        return agent

    @cached_property
    def as_recorded(self) -> Tensors:
        """Where the recorded update leads here."""
        return replay(self.snapshot).checkpoint


def _same(one: Tensors, other: Tensors) -> bool:
    return all(np.array_equal(tensor, other[name]) for name, tensor in one.items() if name.startswith("parameter/"))


def play_seconds(snapshot: Snapshot, arms: Sequence[Arm], episodes: int = EPISODES) -> tuple[float, float] | None:
    """How long it takes to play the policies before and after the update, and all arms, from what the round took to make.

    None where the round does not say.
    """
    named_so = ("collect_seconds", "update_seconds", "records", "mean_length")
    collect, update, records, length = (snapshot.metrics.get(name) for name in named_so)
    if collect is None or update is None or not records or length is None:
        return None
    step = collect / records
    one = episodes * length * step
    more = FIRST * sum(one / 2 + update + (collect if arm.cause == "data" else 0) for arm in arms)
    more += sum(arm.rollouts for arm in arms) * length / 2 * step
    return 2 * one, more

"""The policies of an autopsy by their names: made, and played, here or in another process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.analysis.checks.checked import Check as RoundCheck
from engine.core.checkpoint import Tensors, one_thread
from engine.core.evaluation import PolicyEvaluation
from engine.core.kind import kind_of
from engine.core.policy import with_gradients
from engine.core.replays.replay import replay
from engine.errors import BadInputError
from engine.intervention.autopsy.arm import Arm, Check
from engine.intervention.autopsy.arms import possible
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, on_first_seeds
from engine.intervention.autopsy.played_arms import MOST, policy_of
from engine.store.read import Run, open_run
from engine.store.snapshot import Snapshot

CHANGES_NOTHING = "it changes nothing here, the update leads to the same parameters"


@dataclass(frozen=True)
class ToPlay:
    """A policy that is to be played, with all that another process needs for it."""

    run: Path
    round: int
    checks: tuple[RoundCheck, ...]
    """Of the round; arms depend on them."""
    policy: str
    block: int
    """Of evaluation episodes."""
    episodes: int

    def __str__(self) -> str:
        return f"playing the policy {self.policy}"


class PlayedOnce(NamedTuple):
    """What came of it."""

    returns: NDArray[np.float64] | None
    """(episodes,) None where its arm turned out to be nothing that can be played."""
    arm: str = ""
    """What that arm is kept as."""
    why_not: str = ""


class Policies:
    """Makes the policies of a round, and plays them; environments are kept open until `close`.

    Args:
        run: the run.
        snapshot: its round.
        arms: those that can be had.
    """

    def __init__(self, run: Run, snapshot: Snapshot, arms: Sequence[Arm]) -> None:
        self.run, self.snapshot = run, snapshot
        self.arms = {policy_of(arm, which): (arm, which) for arm in arms for which in range(MOST)}
        self._evaluation: PolicyEvaluation | None = None

    def play(self, asked: ToPlay, check: Check = lambda: None) -> PlayedOnce:
        """The returns of one policy.

        Args:
            asked: which policy, on which episodes.
            check: called now and then; raise from it to cancel.

        Raises:
            BadInputError: a policy of the record can't be played.
        """
        kind, name = kind_of(self.snapshot), on_first_seeds(asked.policy)
        if name in (BEFORE, AFTER):
            agent = self._recorded(name)
        else:
            arm, which = self.arms[name]
            try:
                agent = arm.agent(which, check)
            except BadInputError as error:
                return PlayedOnce(None, arm.kept_as, str(error))
            if which == 0 and _same(agent.tensors(), self.as_recorded):
                return PlayedOnce(None, arm.kept_as, CHANGES_NOTHING)
        self._evaluation = self._evaluation or kind.evaluation(self.snapshot, {})
        player = kind.player(self.snapshot, agent)
        return PlayedOnce(self._evaluation.returns(player, asked.block, asked.episodes, check))

    def close(self) -> None:
        """Let go of the environments."""
        if self._evaluation is not None:
            self._evaluation.close()

    def _recorded(self, name: str) -> Any:
        snapshot = self.snapshot
        if name == AFTER:
            snapshot = snapshot.changed(checkpoint=self.run.checkpoint(snapshot.round + 1))
        return kind_of(snapshot).agent(snapshot)

    @cached_property
    def as_recorded(self) -> Tensors:
        """Where the recorded update leads here."""
        return replay(self.snapshot).checkpoint


@with_gradients
def played_elsewhere(asked: ToPlay) -> PlayedOnce:
    """The same in a process that plays nothing else; what it needs is read once."""
    one_thread()
    return _policies(asked.run, asked.round, asked.checks).play(asked)


@lru_cache(maxsize=1)
def _policies(path: Path, round: int, checks: tuple[RoundCheck, ...]) -> Policies:
    run = open_run(path)
    snapshot = run.snapshot(round)
    return Policies(run, snapshot, [arm for arm in possible(snapshot, checks) if not arm.why_not])


def _same(one: Tensors, other: Tensors) -> bool:
    return all(np.array_equal(tensor, other[name]) for name, tensor in one.items() if name.startswith("parameter/"))

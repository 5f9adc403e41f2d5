"""Play the policies of an autopsy: those before and after the update, and where it was a fall, those of the arms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.executors import Progress
from engine.intervals import Interval
from engine.intervention.autopsy.arms import Arm, Check
from engine.intervention.autopsy.kept_returns import EPISODES, Returns
from engine.store.read import Run
from engine.store.snapshot import Snapshot

BEFORE, AFTER = "before the update", "after the update"
Policies: TypeAlias = dict[str, Callable[[Check], Any]]
"""Name -> what makes the agent; it calls now and then what it is given."""


def why_unplayed(snapshot: Snapshot) -> str:
    """Why no policy of a round can be played here; empty where one can."""
    try:
        return kind_of(snapshot).unplayed(snapshot)
    except BadInputError as error:
        return str(error)


def fell(returns: Returns) -> bool:
    """Whether the policy got worse by the update for certain."""
    return change(returns).high < 0


def change(returns: Returns) -> Interval:
    """Of the mean return by the update, paired."""
    return Interval.of_mean(returns[AFTER] - returns[BEFORE])


def named(arm: Arm) -> list[str]:
    """What the policies of an arm are called."""
    return [f"{arm.name}, {which + 1} of {arm.replicates}" for which in range(arm.replicates)]


def missing(returns: Returns, arms: Sequence[Arm]) -> list[str]:
    """Policies that are still to be played, as far as is known: the arms' only once there is a fall."""
    first = [name for name in (BEFORE, AFTER) if name not in returns]
    return first or ([name for arm in arms for name in named(arm) if name not in returns] if fell(returns) else [])


def play(run: Run, snapshot: Snapshot, arms: Sequence[Arm], returns: Returns, say: Progress) -> None:
    """Play what is missing; what is finished is kept.

    Args:
        run: the run.
        snapshot: its round.
        arms: those that can be had.
        returns: filled in.
        say: told what is played, and how many policies are done, of how many if there is a fall.

    Raises:
        BadInputError: policies of the round can't be evaluated.
    """
    kind, policies = kind_of(snapshot), _policies(run, snapshot, arms)
    if not missing(returns, arms):
        return
    evaluation = kind.evaluation(snapshot, {})
    try:
        for name in _in_turn(returns, arms):
            doing = f"playing the policy {name}" if name in (BEFORE, AFTER) else f"playing {name}"
            check = partial(say, doing, list(policies).index(name) + 1, len(policies) + 1)
            check()
            player = kind.player(snapshot, policies[name](check))
            returns.keep(name, evaluation.returns(player, 0, returns.episodes, check))
    finally:
        evaluation.close()


def _in_turn(returns: Returns, arms: Sequence[Arm]) -> Iterator[str]:
    """The policies that are missing, one after the other, until none is."""
    while left := missing(returns, arms):
        yield left[0]


def _policies(run: Run, snapshot: Snapshot, arms: Sequence[Arm]) -> Policies:
    kind = kind_of(snapshot)
    both: Policies = {
        BEFORE: lambda check: kind.agent(snapshot),
        AFTER: lambda check: kind.agent(snapshot.changed(checkpoint=run.checkpoint(snapshot.round + 1))),
    }
    return both | {name: partial(arm.agent, snapshot, which) for arm in arms for which, name in enumerate(named(arm))}


def play_seconds(snapshot: Snapshot, arms: Sequence[Arm], episodes: int = EPISODES) -> tuple[float, float] | None:
    """How long it takes to play the policies before and after the update, and all arms, from what the round took to make.

    None where the round does not say.
    """
    named_so = ("collect_seconds", "update_seconds", "records", "mean_length")
    collect, update, records, length = (snapshot.metrics.get(name) for name in named_so)
    if collect is None or update is None or not records or length is None:
        return None
    one = episodes * length * collect / records
    more = sum(arm.replicates * (one + update + (collect if arm.cause == "data" else 0)) for arm in arms)
    return 2 * one, more

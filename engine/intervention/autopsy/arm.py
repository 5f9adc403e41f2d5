"""An arm of an autopsy: what the round's update would have made of it, had one thing been otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from engine.core.kind import kind_of
from engine.core.replays.replay import replay
from engine.errors import BadInputError
from engine.executors import Pool
from engine.store.snapshot import Snapshot

Cause = Literal["order", "data", "step", "critic", "advantages", "records"]
CAUSES: tuple[Cause, ...] = get_args(Cause)
"""What a fall can be the doing of, in the order in which an autopsy asks."""
DATA_ANEW = "data collected anew"
"""Name of the arm that asks for luck of the data."""
Check = Callable[[], None]
Made = Callable[[int, Check], Any]
"""(which of the arm's replicates, called now and then) -> the agent at another theta(k+1).

Raises:
    LeftOutError: there is nothing to play.
"""
Otherwise = Callable[[Check], Snapshot]
"""(called now and then) -> the round as it would have been, to be replayed."""


class LeftOutError(BadInputError):
    """An arm can't be had of a round, which was not known before it was asked for."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One thing that is otherwise."""

    name: str
    cause: Cause
    """What a fall is the doing of that is not there in this arm."""
    agent: Made
    what: str = ""
    """In numbers: settings, records, estimators."""
    lead: bool = False
    """Whether it decides on its cause; the others of the cause show which remedy works, or which records."""
    control: str = ""
    """Name of the arm that it must be better than as well; empty for none."""
    tries: Mapping[str, Any] = field(default_factory=dict)
    """Settings to train with next where it takes the fall back."""
    rollouts: int = 0
    """Rollouts that are played for it first."""
    prepare: Callable[[Pool, Check], None] | None = None
    """Plays them in a pool, and keeps what comes of them for `agent`; None: there is nothing to prepare."""
    scores: str = ""
    """Which ones chose its records, where these are not the ones that usually do."""
    why_not: str = ""
    """Why it can't be had of this round; empty where it can, as far as is known without playing it."""

    @property
    def kept_as(self) -> str:
        """What its policies are kept as: other scores choose other records."""
        return f"{self.name} by {self.scores}" if self.scores else self.name

    def __repr__(self) -> str:
        return f"Arm({self.name}{f', left out: {self.why_not}' if self.why_not else ''})"


def replays(snapshot: Snapshot, otherwise: Otherwise) -> Made:
    """Agents by replays of a round that is otherwise, the first one in the recorded order; it is made once, when asked for."""
    made: list[Snapshot] = []

    def agent(which: int, check: Check) -> Any:
        if not made:
            made.append(otherwise(check))
        return replay(made[0], order=which, on_step=check).agent

    return agent


def with_settings(name: str, cause: Cause, snapshot: Snapshot, changed: Mapping[str, Any], lead: bool = False) -> Arm:
    """The update with other settings."""
    try:
        otherwise = kind_of(snapshot).with_settings(snapshot, changed)
    except BadInputError as error:
        return left_out(name, cause, str(error), lead)
    said = ", ".join(f"{setting} {value:g}" for setting, value in changed.items())
    return Arm(name, cause, replays(snapshot, lambda check: otherwise), said, lead, tries=changed)


def left_out(name: str, cause: Cause, why: str, lead: bool = False) -> Arm:
    """An arm that can't be had."""

    def agent(which: int, check: Check) -> Any:
        raise LeftOutError(why)

    return Arm(name, cause, agent, lead=lead, why_not=why)

"""An intervention's plan: what to remove or repair, how to look at the outcome, and how far the work on it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from msgspec import Meta

from engine.core.kind import kind_of
from engine.core.replays.replay import Mode, check_replayable, intervene
from engine.core.targets.question import PlainTarget, TargetName
from engine.errors import BadInputError
from engine.executors import Progress
from engine.store.snapshot import Snapshot, check_records
from engine.store.words import counted
from engine.typed import Count, settle, typed, whole

Orders = Annotated[int, Meta(ge=2, le=4096)]
"""Minibatch orders; an interval needs two."""
Episodes = Annotated[int, Meta(ge=2, le=10**6)]
"""At least one an order."""
Removed = Annotated[tuple[Count, ...], Meta(min_length=1)]

_LATER = {"seeds": 1, "of_round": None, "observation": None, "tokens": None, "repair": False}
"""Fields that the first plans lacked, each with the value that means the same as its absence."""


@dataclass(frozen=True, kw_only=True)
class _Removal:
    """All of a plan but its target. Time grows with each of the numbers that have a largest value."""

    round: Count
    removed: Removed
    """Record numbers; kept sorted and unique."""
    repair: bool = False
    """The records go on training, with their TD errors in the place of their advantages, and none is removed."""
    mode: Mode = "mask"
    orders: Orders = 8
    """Replays per arm, each with a minibatch order of its own; the first is the recorded one."""
    episodes: Episodes = 64
    """Evaluation episodes per arm, divided over the orders."""
    continue_rounds: Annotated[int, Meta(ge=0, le=10**5)] = 0
    """Rounds that the branch trains on after the replayed one."""
    seeds: Annotated[int, Meta(ge=1, le=1024)] = 1
    """Times that every arm trains on, each with newly collected data; the first goes on as the run itself did."""


@dataclass(frozen=True, kw_only=True)
class Intervention(_Removal):
    """What to remove, or to repair, and how to look at the outcome. Equal interventions have equal results."""

    measured: TargetName = field(default_factory=TargetName)
    """Target whose change is measured beside the return."""

    def __post_init__(self) -> None:
        records = {whole(record, "a record to remove") for record in self.removed}
        object.__setattr__(self, "removed", tuple(sorted(records)))
        settle(self)
        if self.repair and self.mode != "mask":
            raise BadInputError(f"repaired records stay in their minibatches; mode is {self.mode}, it must be mask")
        if self.episodes < self.orders:
            raise BadInputError(f"episodes is {self.episodes}; at least one per order ({self.orders}) is needed")
        if self.seeds > 1 and not self.continue_rounds:
            raise BadInputError(
                f"seeds is {self.seeds}, but there are no rounds to train on; set continue_rounds to 1 or more"
            )
        if self.episodes < self.seeds:
            raise BadInputError(f"episodes is {self.episodes}; at least one per seed ({self.seeds}) is needed")

    def in_words(self, of: int | None = None) -> str:
        """What it does to its round, of so many records where that is said.

        >>> plan = Intervention(round=1, removed=(3, 5), repair=True)
        >>> plan.in_words(), plan.in_words(of=2048)
        ('with 2 records repaired', 'with 2 of 2048 records repaired')
        """
        n = len(self.removed)
        which = counted(n, "record") if of is None else f"{n} of {of} records"
        return f"with {which} repaired" if self.repair else f"without {which}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, the target's among them; those that plans did not have at first are left out where they say nothing.

        >>> Intervention(round=1, removed=(3,), measured=TargetName(target="action", about=7)).to_json()["about"]
        7
        """
        own = {each.name: getattr(self, each.name) for each in fields(_Removal)}
        target = self.measured.plain()
        values = own | {
            name: target[name] for name in ("target", "about", "action", "of_round", "observation", "tokens")
        }
        return {name: value for name, value in values.items() if name not in _LATER or value != _LATER[name]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Intervention:
        """The inverse of `to_json`.

        Raises:
            BadInputError: it is not such an object.
        """
        found = typed(WrittenPlan, values)
        own, target = ({each.name: getattr(found, each.name) for each in fields(of)} for of in (_Removal, PlainTarget))
        return cls(**own, measured=TargetName(**target))


@dataclass(frozen=True, kw_only=True)
class WrittenPlan(_Removal, PlainTarget):
    """The types of `Intervention.to_json`."""


ARMS = ("original", "counterfactual", "control")


def draws(snapshot: Snapshot, plan: Intervention, order: int) -> dict[str, Any]:
    """The records that each arm goes without, or repairs, in one minibatch order or with one seed.

    The control's draw is another each time.
    """
    control = kind_of(snapshot).control(snapshot, plan.removed, order)
    return dict(zip(ARMS, ((), plan.removed, control), strict=True))


def intervened(snapshot: Snapshot, plan: Intervention, records: Any, order: int = 0) -> Any:
    """A plan's round as one of its arms has it: without some records, or with these repaired, in a minibatch order.

    Raises:
        BadInputError: a record is out of range, none would be left, or none can be repaired.
    """
    if plan.repair:
        repaired = kind_of(snapshot).repaired(snapshot, check_records(records, len(snapshot.buffer)))
        return intervene(repaired, (), order=order)
    return intervene(snapshot, records, mode=plan.mode, order=order)


def unrepairable(snapshot: Snapshot, records: Any) -> str:
    """Why none of these records can be repaired; empty where one can.

    Raises:
        BadInputError: a record is out of range.
    """
    numbers, buffer = check_records(records, len(snapshot.buffer)), snapshot.buffer
    try:
        kind_of(snapshot).trajectories(snapshot)
    except BadInputError as reason:
        return str(reason)
    if (buffer.kept & ~buffer.repaired)[numbers].any():
        return ""
    return "the update of this round went without these records, or had them repaired already"


def check_possible(snapshot: Snapshot, plan: Intervention) -> None:
    """Refuse a plan that can't be carried out in its round.

    Raises:
        BadInputError: a record is out of range, nothing would be left, none of the records can be repaired, or the round's
            update can't be replayed.
    """
    check_replayable(snapshot)
    if plan.repair and (why := unrepairable(snapshot, plan.removed)):
        raise BadInputError(f"the records can't be repaired: {why}; remove them, or choose others")
    intervened(snapshot, plan, plan.removed)


def episodes_per_order(plan: Intervention) -> int:
    """Evaluation episodes of an arm in one minibatch order."""
    return -(-plan.episodes // plan.orders)


class ProgressMeter:
    """Counts optimizer steps, an evaluation as half an update, and tells a `Progress` a hundred times or so."""

    def __init__(self, progress: Progress | None, snapshot: Snapshot, plan: Intervention) -> None:
        config = snapshot.config
        self.progress = progress
        self.update_steps = config.n_epochs * len(config.cuts(config.records_per_round))
        updates = len(ARMS) * plan.orders
        branches = 2 * (1 + plan.continue_rounds) if plan.continue_rounds else 1
        evaluations = updates
        if plan.seeds > 1:
            branches = len(ARMS) * plan.seeds * (1 + plan.continue_rounds)
            evaluations += len(ARMS) * plan.seeds
        self.total = self.update_steps * (updates + branches) + evaluations * (self.update_steps // 2)
        self.done = 0
        self.doing = "starting"

    def say(self, doing: str) -> None:
        """What is done from now on."""
        self.doing = doing
        self.check()

    def step(self) -> None:
        """An optimizer step begins."""
        self.done += 1
        if self.done % 8 == 0:
            self.check()

    def evaluated(self) -> None:
        """A policy has been evaluated."""
        self.done += self.update_steps // 2
        self.check()

    def finished(self, doing: str, updates: int) -> None:
        """In another process, so many updates were made and the policy that they led to was evaluated."""
        self.doing = doing
        self.done += updates * self.update_steps
        self.evaluated()

    def check(self) -> None:
        """Tell the progress, which may cancel."""
        if self.progress is not None:
            self.progress(self.doing, min(self.done, self.total), self.total)

"""An intervention's plan: what to remove, how to look at the outcome, and how far the work on it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from engine.core.kind import kind_of
from engine.core.question import TargetName
from engine.core.replay import Mode
from engine.errors import BadInputError
from engine.store.snapshot import Snapshot
from engine.typed import typed

EVALUATION_SEED = 10_000_000
"""Evaluation seeds start here, far from training's."""

MOST = {"orders": 4096, "episodes": 10**6, "continue_rounds": 10**5, "seeds": 1024}
"""The largest plan that is made or read; time grows with each of these."""

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total); raise from it to cancel."""


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """What to remove and how to look at the outcome. Equal interventions have equal results."""

    round: int
    removed: tuple[int, ...]
    """Record numbers; kept sorted and unique."""
    mode: Mode = "mask"
    orders: int = 8
    """Replays per arm, each with a minibatch order of its own; the first is the recorded one."""
    episodes: int = 64
    """Evaluation episodes per arm, divided over the orders."""
    continue_rounds: int = 0
    """Rounds that the branch trains on after the replayed one."""
    seeds: int = 1
    """Times that every arm trains on, each with newly collected data; the first goes on as the run itself did."""
    target: str = "return"
    """Target whose change is measured beside the return: `return` or `action`. What follows says more of it, as
    `naming.TargetName` does."""
    about: int | tuple[int, ...] | None = None
    """Record, or records, that an action target is about."""
    action: float | tuple[float, ...] | None = None
    """Its action, if another than the recorded one."""
    of_round: int | None = None
    """Round whose buffer a return target is taken over, if another than this one."""
    observation: float | tuple[float, ...] | None = None
    """Hand-typed state that an action target is about in the place of records."""
    tokens: tuple[int, ...] | None = None
    """First and last token of the span that an action target of a sequence is about; None for the whole response."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "removed", tuple(sorted(set(self.removed))))
        for name, value in self.measured.plain().items():
            object.__setattr__(self, name, value)
        if not self.removed:
            raise BadInputError("no records are chosen; choose at least one to remove")
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise BadInputError(f"{name} is {getattr(self, name)}; it must be at most {most:,}")
        if self.orders < 2:
            raise BadInputError(f"orders is {self.orders}; at least 2 are needed for an interval")
        if self.episodes < self.orders:
            raise BadInputError(f"episodes is {self.episodes}; at least one per order ({self.orders}) is needed")
        if self.continue_rounds < 0:
            raise BadInputError(f"continue_rounds is {self.continue_rounds}; it must be 0 or more")
        if self.seeds < 1:
            raise BadInputError(f"seeds is {self.seeds}; it must be at least 1, and at least 2 for an interval")
        if self.seeds > 1 and not self.continue_rounds:
            raise BadInputError(
                f"seeds is {self.seeds}, but there are no rounds to train on; set continue_rounds to 1 or more"
            )
        if self.episodes < self.seeds:
            raise BadInputError(f"episodes is {self.episodes}; at least one per seed ({self.seeds}) is needed")

    @property
    def measured(self) -> TargetName:
        """The target whose change is measured."""
        return TargetName(**{field.name: getattr(self, field.name) for field in fields(TargetName)})

    def to_json(self) -> dict[str, Any]:
        """Plain values; those that plans did not have at first are left out where they say nothing."""
        values = asdict(self)
        said = {
            "seeds": self.seeds > 1,
            "of_round": self.of_round is not None,
            "observation": self.observation is not None,
            "tokens": self.tokens is not None,
        }
        return {name: value for name, value in values.items() if said.get(name, True)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Intervention:
        """The inverse of `to_json`.

        Raises:
            ValueError: it is not such an object.
        """
        return typed(cls, values)


def draws(snapshot: Snapshot, plan: Intervention, order: int) -> dict[str, Any]:
    """What each arm goes without, in one minibatch order or with one seed: the control's draw is another each time."""
    control = kind_of(snapshot).control(snapshot, plan.removed, order)
    return {"original": (), "counterfactual": plan.removed, "control": control}


def mode_of(plan: Intervention, drop: Any) -> Mode:
    """How an arm's records are removed; where none are, the minibatches stay as they were."""
    return plan.mode if len(drop) else "mask"


def episodes_per_order(plan: Intervention) -> int:
    """Evaluation episodes of an arm in one minibatch order."""
    return -(-plan.episodes // plan.orders)


class Meter:
    """Counts optimizer steps, an evaluation as half an update, and tells a `Progress` a hundred times or so."""

    def __init__(self, progress: Progress | None, snapshot: Snapshot, plan: Intervention) -> None:
        config = snapshot.config
        self.progress = progress
        self.update_steps = config.n_epochs * -(-config.records_per_round // config.batch_size)
        updates = 3 * plan.orders
        branches = 2 * (1 + plan.continue_rounds) if plan.continue_rounds else 1
        evaluations = updates
        if plan.seeds > 1:
            branches = 3 * plan.seeds * (1 + plan.continue_rounds)
            evaluations += 3 * plan.seeds
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

    def check(self) -> None:
        """Tell the progress, which may cancel."""
        if self.progress is not None:
            self.progress(self.doing, min(self.done, self.total), self.total)

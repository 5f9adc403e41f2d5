"""What can be checked: whether influence predicts removal in a round, who is measured, how long it takes, how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app import loaders
from engine.core.costs import finished
from engine.core.estimators import REPLAY_REGRESSION
from engine.core.targets import Described, Target, name_of
from engine.core.validation import FRACTION, ORDERS, SUBSETS
from engine.errors import BadInputError
from engine.experiments.recommendation import Recommendation
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Validate
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.read import Run

CHECKED = ("first_order", "tracin", "tracin_adam", "replay_gradient")
"""Estimators that one check measures: the replays are the same for all."""


class Question(Protocol):
    """Whether a round's influence on a target predicts what removal does."""

    @property
    def snapshot(self) -> ControlSnapshot:
        """The round."""
        ...

    @property
    def target(self) -> Described:
        """The target."""
        ...

    @property
    def checked(self) -> tuple[str, ...]:
        """Estimators that one check measures."""
        ...

    @property
    def besides(self) -> str | None:
        """A dear estimator that is measured only where it is asked for."""
        ...

    @property
    def subsets(self) -> int:
        """Random subsets that are removed."""
        ...

    @property
    def orders(self) -> int:
        """Minibatch orders of each."""
        ...

    @property
    def score_orders(self) -> int:
        """Minibatch orders that the scores are averaged over."""
        ...

    def job(self, estimators: Sequence[str] = ()) -> Calculation:
        """The check in the background, running or not; to start it, of these estimators."""
        ...

    def seconds(self, estimators: Sequence[str]) -> float:
        """How long it takes."""
        ...

    def finished(self, estimators: Sequence[str]) -> tuple[int, int]:
        """Replays that are kept, and how many it takes."""
        ...

    def advice(self) -> Recommendation | None:
        """What the study that ships says of such a round."""
        ...


@dataclass(frozen=True)
class OfRecords:
    """Of a control task's round."""

    run: Run
    snapshot: ControlSnapshot
    target: Target
    score_orders: int = 1
    checked: tuple[str, ...] = CHECKED
    besides: str | None = REPLAY_REGRESSION
    subsets: int = SUBSETS
    orders: int = ORDERS

    def job(self, estimators: Sequence[str] = ()) -> Calculation:
        """The check in the background, running or not; to start it, of these estimators."""
        asked = Validate(
            round=self.snapshot.round,
            target=target_in_words(self.target),
            estimators=tuple(estimators),
            subsets=self.subsets,
            orders=self.orders,
            fraction=FRACTION,
            score_orders=self.score_orders,
        )
        return Calculation(self.run, asked)

    def seconds(self, estimators: Sequence[str]) -> float:
        """From the time that the round's update took, or else that of one replay."""
        about = self.snapshot.path, self.snapshot.hash, tuple(estimators), self.score_orders
        return loaders.check_seconds(self.snapshot, *about)

    def finished(self, estimators: Sequence[str]) -> tuple[int, int]:
        """Replays that are kept, and how many it takes."""
        return finished(self.snapshot, self.target, estimators, SUBSETS, ORDERS, FRACTION, "random", self.score_orders)

    def advice(self) -> Recommendation | None:
        """What the study that ships says of such a round."""
        return loaders.recommendation(self.run, self.snapshot, self.target.name)


def target_in_words(target: Target) -> dict[str, Any]:
    """The plain values that name a target.

    Raises:
        BadInputError: nothing names it.
    """
    called = name_of(target)
    if called is None:
        raise BadInputError("this target has no name that a command could take")
    return called.plain()


def measured_estimators(job: Calculation) -> tuple[str, ...]:
    """Those that a check was last started with; none where that is not known."""
    asked = job.asked
    return asked.estimators if isinstance(asked, Validate) else ()

"""What can be checked: whether influence predicts removal in a round, who is measured, how long it takes, how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.shell import loaders
from engine.core.estimators.registry import ESTIMATORS, REPLAY_REGRESSION
from engine.core.faithfulness.cost import finished
from engine.core.faithfulness.measure import Measurement
from engine.core.targets.functions import Described, Target, name_of
from engine.errors import BadInputError
from engine.experiments.recommendation import Recommendation
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Validate
from engine.store.read import Run
from engine.store.snapshot import Snapshot

CHECKED = tuple(name for name in ESTIMATORS if name != REPLAY_REGRESSION)
"""Estimators that one check measures: the replays are the same for all."""
OPTIONAL = REPLAY_REGRESSION
"""The one that is measured only where it is asked for, because it is fitted to many replays of its own."""


@dataclass(frozen=True)
class Check:
    """Whether a round's influence on a target predicts what removal does, in any kind of run."""

    run: Run
    snapshot: Snapshot
    target: Target
    how: Measurement

    @classmethod
    def of(cls, run: Run, snapshot: Snapshot, target: Target, score_orders: int = 1) -> Check:
        """With as much effort as its kind of run is measured with, of scores averaged over so many minibatch orders."""
        return cls(run, snapshot, target, Measurement.of(snapshot, score_orders=score_orders))

    def job(self, estimators: Sequence[str] = ()) -> Calculation:
        """The check in the background, running or not; to start it, of these estimators."""
        asked = Validate(
            round=self.snapshot.round,
            target=target_in_words(self.target),
            estimators=tuple(estimators),
            subsets=self.how.subsets,
            orders=self.how.orders,
            fraction=self.how.fraction,
            score_orders=self.how.score_orders,
        )
        return Calculation(self.run, asked)

    def seconds(self, estimators: Sequence[str]) -> float:
        """How long it takes, from the time that the round's update took, or else that of one replay."""
        return loaders.check_seconds(self.snapshot, tuple(estimators), self.how)

    def finished(self, estimators: Sequence[str]) -> tuple[int, int]:
        """Replays that are kept, and how many it takes."""
        return finished(self.snapshot, self.target, estimators, self.how)

    def advice(self) -> Recommendation | None:
        """What the study that ships says of such a round."""
        return loaders.recommendation(self.run, self.snapshot, self.target.name)


def target_in_words(target: Described) -> dict[str, Any]:
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

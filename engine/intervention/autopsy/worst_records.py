"""The records of a round that hurt it most, by the estimator that a person is told to use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.core.estimators.registry import PRIOR
from engine.core.estimators.sums import sum_by
from engine.core.faithfulness.trusted import ChosenEstimator, trusted_estimator
from engine.core.influence import influence
from engine.core.kind import kind_of
from engine.core.scores import Scores
from engine.intervention.autopsy.arm import Check, LeftOutError
from engine.store.snapshot import Snapshot

SHARE = 0.05
"""Of the records that the update used."""


class WorstRecords:
    """Which they are; scores are computed when they are first asked for, and kept in the run's `derived/`.

    Args:
        snapshot: the round, whose update can be replayed.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot, self.kind = snapshot, kind_of(snapshot)
        self._found: Scores | None = None
        self.chosen = estimator_for(snapshot)
        self.count = max(1, round(SHARE * int(snapshot.buffer.kept.sum())))

    @property
    def words(self) -> str:
        """Where the scores come from."""
        return f"{self.chosen.name} on the {self.kind.default_target} target ({self.chosen.why})"

    @property
    def scores(self) -> str:
        """Whose they are; empty where nothing was measured that speaks for others than the usual ones."""
        return "" if self.chosen.name == _guess(self.snapshot) else self.chosen.name

    def bottom(self, check: Check, count: int | None = None) -> NDArray[np.int64]:
        """The records that lowered the target most, the worst first.

        Raises:
            LeftOutError: none lowered it.
            BadInputError: there are no scores.
        """
        found = self._scores(check).bottom(count or self.count)
        if not len(found):
            raise LeftOutError(f"no record lowered the {self.kind.default_target} target")
        return found

    def group(self, check: Check) -> NDArray[np.int64]:
        """The records of the episode, or of what else belongs together, whose scores have the lowest sum.

        Raises:
            LeftOutError: it is the only one.
            BadInputError: there are no scores, or no groups.
        """
        word, group = self.kind.groups(self.snapshot)
        kept = self.snapshot.buffer.kept
        groups, sums = sum_by(self._scores(check).influence[kept], group[kept])
        if len(groups) < 2:
            raise LeftOutError(f"the round has one {word}")
        return np.flatnonzero(kept & (group == groups[sums.argmin()]))

    def _scores(self, check: Check) -> Scores:
        check()
        if self._found is None:
            chosen = self.chosen
            self._found = influence(
                self.snapshot,
                self.kind.default_target,
                chosen.estimator,
                orders=chosen.orders,
                on_step=lambda done, total: check(),
            )
        return self._found


def estimator_for(snapshot: Snapshot) -> ChosenEstimator:
    """The best that was measured to predict removals here; else what follows an update step by step.

    That is `tracin_adam`, or `tracin` where nothing is known of the optimizer's steps.
    """
    return trusted_estimator(snapshot, _guess(snapshot))


def _guess(snapshot: Snapshot) -> str:
    return "tracin" if snapshot.config.optimizer == "other" else PRIOR

"""What can be checked of a language model's round, see `app.checking`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.kinds.language.influence import LANGUAGE_ESTIMATORS
from engine.kinds.language.validation import FRACTION, ORDERS, SUBSETS, finished_language_replays

from app.sequences import loaders
from app.sequences.targets import Asked
from engine.experiments.recommendation import Recommendation
from engine.jobs.calculations import Calculation
from engine.jobs.questions import Validate
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.targets import TokenTarget
from engine.store.read import Run


@dataclass(frozen=True)
class OfSequences:
    """Whether influence predicts what removing sequences does."""

    run: Run
    snapshot: LanguageSnapshot
    asked: Asked
    target: TokenTarget
    score_orders: int = 1
    checked: tuple[str, ...] = tuple(LANGUAGE_ESTIMATORS)
    besides: str | None = None
    subsets: int = SUBSETS
    orders: int = ORDERS

    def job(self, estimators: Sequence[str] = ()) -> Calculation:
        """The check in the background, running or not; to start it, of these estimators."""
        asked = Validate(
            round=self.snapshot.round,
            target=self.asked.in_words(),
            estimators=tuple(estimators),
            subsets=self.subsets,
            orders=self.orders,
            fraction=FRACTION,
        )
        return Calculation(self.run, asked)

    def seconds(self, estimators: Sequence[str]) -> float:
        """From the time that the round's update took, or else that of one replay; following it for scores comes on top."""
        return loaders.check_seconds(self.snapshot, self.snapshot.path, self.snapshot.hash)

    def finished(self, estimators: Sequence[str]) -> tuple[int, int]:
        """Replays that are kept, and how many it takes."""
        return finished_language_replays(self.snapshot, self.target, self.subsets, self.orders, FRACTION)

    def advice(self) -> Recommendation | None:
        """The study that ships is about control tasks."""
        return None

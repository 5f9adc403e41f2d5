"""Which rounds of a run keep their records: every n-th, the last, and those around an incident."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import BadInputError
from engine.typed import AtLeastOne, Count, settle

INCIDENTS = 10
"""Incidents that an estimate of a run's size reckons with."""


@dataclass(frozen=True)
class Keep:
    """Which rounds keep their records, checkpoint and minibatches; the metrics of all rounds stay. A flight recorder.

    >>> Keep(every=100, last=20, around=3)
    Keep(every=100, last=20, around=3)
    >>> print(Keep(every=0, last=50, around=10))
    the last 50 rounds, and 10 before and after each incident
    """

    every: Count = 100
    """Rounds 0, n, 2 n and so on; 0: none of them for that."""
    last: AtLeastOne = 20
    """The newest rounds. What the rounds before an incident held can be kept only while they are among these: an incident
    that shows in the metrics later than that is kept from then on."""
    around: Count = 3
    """Rounds before and after each incident that `engine.Watch` sees; 0: that round alone."""

    def __post_init__(self) -> None:
        settle(self)
        if self.around >= self.last:
            raise BadInputError(
                f"keep around={self.around} rounds needs more than the last {self.last} rounds to choose from; say "
                f"last={2 * self.around + 1} or more"
            )

    def __str__(self) -> str:
        nth = f"every {self.every:,}{_ending(self.every)} round, " if self.every > 1 else "every round, " * self.every
        return f"{nth}the last {self.last:,} rounds, and {self.around:,} before and after each incident"

    def estimate(self, rounds: int, whole: int, checkpoint: int) -> int:
        """About how many bytes a run takes that has few incidents.

        Args:
            rounds: of the run.
            whole: bytes of a round.
            checkpoint: bytes of its checkpoint: a round that is kept alone needs that of the one after it, too.
        """
        alone = (-(-rounds // self.every) if self.every else 0) + INCIDENTS
        near = self.last + INCIDENTS * 2 * self.around
        return min(rounds * whole, alone * (whole + checkpoint) + near * whole)


def _ending(number: int) -> str:
    """2 -> 'nd'."""
    teen = number % 100 // 10 == 1
    return "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")

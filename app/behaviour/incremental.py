"""A behaviour computed while the page is shown: a second of work at a time, and what is known so far in between."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock

from app.shell.cached import cached
from engine.analysis.behaviour import Behaviour, as_behaviour, policy_curve
from engine.analysis.formation import RoundFormation, formation
from engine.analysis.round_by_round import RoundByRound
from engine.core.targets.of_records import ActionTarget
from engine.store.read import Run


@dataclass
class IncrementalBehaviour:
    """What is known of a behaviour so far. Everybody who looks at it adds to it, and nobody does anything twice."""

    curve: RoundByRound[tuple[float, ...]]
    formed: RoundByRound[RoundFormation]
    target: ActionTarget
    lock: Lock = field(default_factory=Lock)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.curve.missing and not self.formed.missing

    @property
    def progress(self) -> float:
        """Share of the work that is done."""
        (read, policies), (looked, rounds) = self.curve.progress, self.formed.progress
        return (read + 5 * looked) / max(policies + 5 * rounds, 1)

    def advance(self, seconds: float) -> Behaviour:
        """Work for that long and keep what was found; what is known then."""
        until = time.monotonic() + seconds
        with self.lock:
            for stream in (self.curve, self.formed):
                stream.advance(until - time.monotonic())
            return as_behaviour(self.curve, self.formed, self.target)


@cached(max_entries=16)
def incremental_behaviour(run: Run, target: ActionTarget) -> IncrementalBehaviour:
    """What is known of that behaviour, in memory or in the run's cache."""
    return IncrementalBehaviour(policy_curve(run, target), formation(run, target), target)

"""What takes long is found round by round while pages are shown, some of it each time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Rounds(Protocol):
    """Something that is found of one round after another, as `RoundByRound` does."""

    @property
    def missing(self) -> list[int]:
        """Rounds that were not looked at, in the order in which they will be."""

    def advance(self, seconds: float = math.inf, only: Sequence[int] | None = None) -> None:
        """Look at more of them for that long, and keep what was found."""


R = TypeVar("R", bound=Rounds)


@dataclass
class Filling(Generic[R]):
    """What was found of a run's rounds so far. Everybody who sees the page adds to it, and no round is looked at twice."""

    rounds: R
    lock: Lock = field(default_factory=Lock)
    spent: float = 0.0
    """Seconds that were spent on it since it was opened, ..."""
    looked: int = 0
    """... and the rounds that were looked at in them."""

    def advance(self, seconds: float = math.inf, only: Sequence[int] | None = None) -> None:
        """Look at more rounds for that long (of `only` these, in this order), and keep what was found."""
        with self.lock:
            begun, missing = time.monotonic(), len(self.rounds.missing)
            self.rounds.advance(seconds, only)
            self.spent += time.monotonic() - begun
            self.looked += missing - len(self.rounds.missing)

    @property
    def seconds_left(self) -> float | None:
        """What the missing rounds would take; None where none was looked at yet."""
        return self.spent / self.looked * len(self.rounds.missing) if self.looked else None

"""What a reward model must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.store.snapshot import Float32s


class RewardModel(Protocol):
    """The whole extension point for rewards."""

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> dict[str, Float32s]:
        """By name (n,) values: `reward`, which training maximises, and whatever else is worth recording."""
        ...

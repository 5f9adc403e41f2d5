"""How thoroughly scores are checked where nobody says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What a check takes where nobody says otherwise: subsets to remove, and minibatch orders to replay each in."""

    subsets: int = 64
    orders: int = 16
    fitted: int = 512
    """Subsets that `replay_regression` is fitted to."""

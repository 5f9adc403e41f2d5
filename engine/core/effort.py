"""How thoroughly scores are checked where nobody says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What a check takes where nobody says otherwise: subsets to remove, and minibatch orders to replay each in."""

    subsets: int = 64
    orders: int = 16
    pairs: int = 512
    """Pairs of replays that `replay_regression` takes: to be fitted to, and every eighth to foretell how well it predicts."""

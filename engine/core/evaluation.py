"""How policies are evaluated: what every kind of run does in its own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

EVALUATION_SEED = 10_000_000
"""Evaluation seeds start here, far from training's."""


class PolicyEvaluation(Protocol):
    """What it takes to say how good a policy is. Policies that are asked the same block meet the same luck."""

    def returns(
        self, player: Any, block: int, episodes: int, check: Callable[[], None] | None = None
    ) -> NDArray[np.float64]:
        """(episodes,) undiscounted returns.

        Args:
            player: `Kind.player`, or a learner's.
            block: which episodes, 0, 1, ...; blocks have no episode in common.
            episodes: how many each block has.
            check: called as it goes on; raise from it to cancel.
        """
        ...

    def close(self) -> None:
        """Release what it needs."""
        ...

"""Many replays of a round at once: what a kind gives that has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.core.targets.functions import Target


class Batched(Protocol):
    """Many replays of a round at once on a device, to rounding."""

    def size(self, count: int) -> int:
        """Replays of a batch, so that `count` of them make batches of equal size that fit the device's memory."""
        ...

    def values(
        self, targets: Sequence[Target], removed: NDArray[np.bool_], orders: Sequence[int]
    ) -> NDArray[np.float64]:
        """(R, targets) values of f(theta(k+1)), without the (R, n) records removed, in the R minibatch orders."""
        ...

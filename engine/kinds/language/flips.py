"""Planted faults: rewards whose sign is turned, so that what influence finds can be compared with what is wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def flip_signs(
    reward: NDArray[np.float32], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Negate the rewards of a random `share` of the records.

    Args:
        reward: (n,) of a round's records.
        share: in [0, 1]; round(share * n) records are chosen, each as likely. 0 draws nothing from `rng`.
        rng: draws them.

    Returns:
        The (n,) rewards that training sees, and (n,) which of them are flipped.
    """
    flipped = np.zeros(len(reward), bool)
    if share:
        flipped[rng.choice(len(reward), round(share * len(reward)), replace=False)] = True
    return np.where(flipped, -reward, reward), flipped

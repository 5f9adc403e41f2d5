"""The returns of a run's rounds as running sums, so that every window of rounds costs two look-ups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EPISODES, SUM, SQUARES, WITHIN, FREEDOM = range(5)
"""Rows of `Returns.sums`: of n, n m, n (s^2 + m^2), n s^2 and n - 1."""

Places = NDArray[np.int64]
Numbers = NDArray[np.float64]


class Round(NamedTuple):
    """The episodes that ended in a round."""

    number: int
    episodes: float
    mean: float
    std: float
    """Over the episodes, with the divisor n (NumPy's `ddof` 0)."""


class Returns:
    """Those rounds in which an episode ended, in order; they are counted from 0, whatever their numbers.

    >>> returns = Returns()
    >>> returns.extend([Round(0, 2, 10.0, 1.0), Round(3, 1, 13.0, 0.0)])
    >>> returns.numbers, returns.episodes(0, 2), returns.mean(0, 2)
    ([0, 3], 3.0, 11.0)
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        """(count,) of the rounds."""
        self.means: list[float] = []
        """(count,) mean returns, less `origin`."""
        self.origin = 0.0
        """The first mean: large returns that hardly differ lose no digits."""
        self.sums: tuple[list[float], ...] = tuple([0.0] for _ in range(5))
        """(5, count + 1): place j has the sums over rounds 0 to j - 1."""

    def __len__(self) -> int:
        return len(self.numbers)

    def extend(self, rounds: Sequence[Round]) -> None:
        """Add rounds, which come after those that are there."""
        if not rounds:
            return
        numbers, episodes, means, stds = zip(*rounds, strict=True)
        self.origin = self.origin if self.numbers else means[0]
        above = [mean - self.origin for mean in means]
        squares = [std * std for std in stds]
        added = (
            episodes,
            [n * mean for n, mean in zip(episodes, above, strict=True)],
            [n * (square + mean * mean) for n, mean, square in zip(episodes, above, squares, strict=True)],
            [n * square for n, square in zip(episodes, squares, strict=True)],
            [n - 1 for n in episodes],
        )
        self.numbers += numbers
        self.means += above
        for sums, row in zip(self.sums, added, strict=True):
            sums.extend(accumulate(row, initial=sums.pop()))

    def windows(self, begins: Places, ends: Places) -> Numbers:
        """(5, m) sums over rounds `begins` to `ends` - 1, both (m,)."""
        places = begins.tolist(), ends.tolist()
        first, after = (np.array([[row[place] for place in side] for row in self.sums]) for side in places)
        return np.subtract(after, first).reshape(5, len(begins))

    def episodes(self, begins: int, ends: int) -> float:
        """How many episodes ended in rounds `begins` to `ends` - 1."""
        return self.sums[EPISODES][ends] - self.sums[EPISODES][begins]

    def mean(self, begins: int, ends: int) -> float:
        """Their mean return."""
        return (self.sums[SUM][ends] - self.sums[SUM][begins]) / self.episodes(begins, ends) + self.origin


def variance(window: Numbers) -> Numbers:
    """Of the returns of single episodes, within and between the rounds of windows, with the divisor n - 1; inf for n = 1.

    Args:
        window: (5, m), of `Returns.windows`.
    """
    n = window[EPISODES]
    spread = window[SQUARES] / n - (window[SUM] / n) ** 2
    return np.where(n > 1, np.maximum(spread, 0) * n / np.maximum(n - 1, 1), np.inf)

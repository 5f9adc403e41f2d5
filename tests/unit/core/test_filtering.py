"""How many records a filter drops."""

from __future__ import annotations

import numpy as np
import pytest

from engine.core.filtering import filtered_count


@pytest.mark.parametrize(
    ("scores", "drop", "count"),
    [
        ([3, 1, 2], 0.5, 0),  # nobody hurt
        ([-3, -1, -2, -4], 0.5, 2),  # everybody did: the worse half
        ([-3, -1, -2, -4], 1, 4),
        ([-3, -1, 2, 5], 1, 2),  # all negative ones, and no other
        ([-3, -1, 2, 5], 0.5, 1),
        ([-3, -1, 2, 5], 0.1, 0),  # a tenth of two is none
        ([-3, -1, -1, -1], 0.5, 1),  # strictly below the threshold sorted[2] = -1
        ([-2, -2, 0, 1], 0.5, 0),  # the threshold is the smallest itself
        ([-2, 0, 0, 1], 1, 1),
    ],
)
def test_the_papers_threshold_rule(scores: list[float], drop: float, count: int) -> None:
    assert filtered_count(np.array(scores, np.float32), drop) == count

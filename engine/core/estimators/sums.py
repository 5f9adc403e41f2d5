"""Influence of groups of records: the sum over their records."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.store.snapshot import Float32s, check_records


def sum_of(influence: Float32s, records: Any) -> float:
    """The summed influence of the chosen records; a record that is named twice counts once.

    >>> sum_of(np.array([1, -2, 5], np.float32), [0, 2])
    6.0

    Raises:
        BadInputError: a record number is out of range.
    """
    return float(influence[check_records(records, len(influence))].sum(dtype=np.float64))


def sum_by(influence: Float32s, group: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The summed influence of each group, such as each episode: `sum_by(scores.influence, buffer.episode)`.

    >>> sum_by(np.array([1, -2, 5], np.float32), np.array([7, 7, 9]))
    (array([7, 9]), array([-1.,  5.]))

    Args:
        influence: (n,), the scores or a term of them.
        group: (n,) which group each record belongs to.

    Returns:
        The (m,) groups in order, and their (m,) sums. What one removal of a whole group really does is not exactly their
        sum: see validation.
    """
    groups, index = np.unique(group, return_inverse=True)
    sums = np.zeros(len(groups))
    np.add.at(sums, index.ravel(), influence)
    return groups, sums

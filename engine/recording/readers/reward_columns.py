"""Which of the numbers in TRL's completions are rewards: the file does not say, the advantages do.

TRL writes the reward functions' columns first and then those of `log_extra`. Within a group of responses to one prompt, the
advantages are the weighted sum of the rewards, less its mean, over some scale (arXiv:2402.03300, section 4.1). So columns
after the ones that give the advantages are no rewards: if they were, the advantages would be others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CLOSE = 1e-4
"""Relative to the columns' size: advantages are of single precision."""
LEAST = 8
"""Numbers by which the columns could disagree with the advantages: with fewer it may be chance."""


def reward_parts(
    columns: Mapping[str, NDArray[np.float32]], advantage: NDArray[np.float32] | None, group: NDArray[np.int32]
) -> list[str]:
    """The names of those columns that are rewards, or may be.

    All of them unless the first few give the advantages; then these and those that are the same throughout each group, of
    which the advantages say nothing.

    Args:
        columns: name -> (n,) numbers in the file's order; NaN where a reward function gave none, which counts as 0.
        advantage: (n,) or None.
        group: (n,) which responses have one prompt, from 0.
    """
    names = list(columns)
    if len(names) < 2 or advantage is None or not len(group) or not np.isfinite(advantage).all():
        return names
    values = np.nan_to_num(np.stack([columns[name] for name in names], 1).astype(np.float64), nan=0.0)
    scale = np.abs(values).max(0)
    if not np.isfinite(scale).all() or (scale > np.finfo(np.float32).max / 2).any():
        return names
    values = _centred(values / np.where(scale > 0, scale, 1), group)
    varied = np.linalg.norm(values, axis=0) > CLOSE
    candidates = np.flatnonzero(varied)
    last = _last_needed(values[:, candidates], _centred(advantage[:, None].astype(np.float64), group)[:, 0], group)
    if last is None:
        return names
    return [name for i, name in enumerate(names) if i <= candidates[last] or not varied[i]]


def _last_needed(values: Floats, advantage: Floats, group: NDArray[np.int32]) -> int | None:
    """The first k columns suffice for the advantages: k - 1; None if not even all do, or too little is known."""
    square = np.bincount(group, advantage**2)
    signal = square > CLOSE**2
    sizes = np.bincount(group)
    known = int(np.maximum(sizes[signal] - 2, 0).sum() + np.maximum(sizes[~signal] - 1, 0).sum())
    if not signal.any():
        return None
    slope = np.stack([np.bincount(group, column * advantage, len(square)) for column in values.T], 1)
    slope = np.where(signal[:, None], slope / np.where(signal, square, 1)[:, None], 0)
    rest = values - slope[group] * advantage[:, None]  # what of a column is not in the advantages' direction
    sizes_of = np.linalg.norm(values, axis=0)
    for k in range(1, values.shape[1] + 1):
        if known < LEAST + 2 * k:
            return None
        _, singular, ways = np.linalg.svd(rest[:, :k] / sizes_of[:k], full_matrices=False)
        weights = ways[-1] / sizes_of[:k]
        slopes = (slope[:, :k] @ weights)[signal]
        if singular[-1] < CLOSE and (np.all(slopes > 0) or np.all(slopes < 0)):
            return k - 1
    return None


def _centred(values: Floats, group: NDArray[np.int32]) -> Floats:
    """(n, k) values less the mean of their group."""
    sizes = np.bincount(group)
    means = np.stack([np.bincount(group, column) / sizes for column in values.T], 1)
    return values - means[group]

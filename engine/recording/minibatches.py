"""What a trainer drew its minibatches like, from the record numbers that each of its steps was seen to take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.int64]


def whole_passes(
    steps: Sequence[Records], n: int, batch_size: int, foreseen: Sequence[Records] = ()
) -> tuple[NDArray[np.int32], str]:
    """The permutations that steps went through, an epoch each.

    >>> seen = [np.array([2, 0]), np.array([1]), np.array([1, 2]), np.array([0])]
    >>> whole_passes(seen, n=3, batch_size=2)[0].tolist()
    [[2, 0, 1], [1, 2, 0]]

    Args:
        steps: record numbers of each step, in order; an epoch that stopped early may be the last one.
        n: records in the round.
        batch_size: records of a minibatch; the last one of an epoch may be smaller.
        foreseen: a permutation for each epoch, as the trainer's generator would give them; what it says of an epoch that
            stopped early is how it would have gone on, where it began as foreseen.

    Returns:
        (epochs, n) permutations, and empty; or (0, n) and why there are none.
    """
    nothing = np.zeros((0, n), np.int32)
    if any(((step < 0) | (step >= n)).any() for step in steps):
        return nothing, f"a minibatch has a record that is not among 0 to {n - 1}"
    epochs: list[Records] = []
    left = list(steps)
    while left:
        epoch: list[Records] = []
        while left and sum(map(len, epoch)) < n:
            epoch.append(left.pop(0))
            if len(epoch[-1]) != min(batch_size, n - sum(map(len, epoch[:-1]))):
                return nothing, f"minibatches are not of {batch_size} records each"
        seen = np.concatenate(epoch)
        if len(np.unique(seen)) < len(seen):
            return nothing, "an epoch takes a record more than once"
        epochs.append(_completed(seen, n, foreseen[len(epochs)] if len(epochs) < len(foreseen) else None))
    later = [np.asarray(each) for each in foreseen[len(epochs) :]] if _as_foreseen(epochs, foreseen) else []
    return np.stack([*epochs, *later]).astype(
        np.int32
    ) if epochs else nothing, "" if epochs else "no minibatch was seen"


def _completed(seen: Records, n: int, foreseen: Records | None) -> Records:
    """A permutation that begins with what was seen."""
    if len(seen) == n:
        return seen
    if foreseen is not None and np.array_equal(foreseen[: len(seen)], seen):
        return np.asarray(foreseen)
    return np.concatenate([seen, np.setdiff1d(np.arange(n), seen)])


def _as_foreseen(epochs: Sequence[Records], foreseen: Sequence[Records]) -> bool:
    return len(epochs) <= len(foreseen) and all(np.array_equal(a, b) for a, b in zip(epochs, foreseen, strict=False))

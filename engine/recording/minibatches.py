"""How an update went through a round's records, from the record numbers that each of its steps was seen to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.int64]


class Passes(NamedTuple):
    """The epochs of an update."""

    orders: NDArray[np.int32]
    """(epochs, n) permutations of the round's records; (0, n) where there are none."""
    sizes: tuple[int, ...]
    """Records of each minibatch of an epoch; what is left of a permutation after the last one is not taken."""
    why: str
    """Why the steps are no epochs of the same minibatches; empty where they are."""

    @property
    def regular(self) -> bool:
        """Whether all minibatches have the size of the first, but for what is left for the last one."""
        first, left = self.sizes[0], self.orders.shape[1]
        return self.sizes == _equal(first, left)


def passes(
    steps: Sequence[Records],
    n: int,
    rng: np.random.Generator,
    foreseen: Sequence[Records] = (),
    planned: int = 0,
    cut_short: bool = False,
) -> Passes:
    """The epochs that steps went through: in each the same minibatches by size, and no record twice.

    >>> seen = [np.array(records) for records in ([2, 0], [1, 4, 3], [1, 2], [0, 3, 4])]
    >>> found = passes(seen, 6, np.random.default_rng(0))
    >>> found.orders.tolist(), found.sizes
    ([[2, 0, 1, 4, 3, 5], [1, 2, 0, 3, 4, 5]], (2, 3))

    Args:
        steps: record numbers of each step, in order.
        n: records in the round.
        rng: draws what never came and is not foreseen, and the order of records that are not taken.
        foreseen: a permutation for each epoch, as the trainer's generator would give them; an epoch that began so is
            completed so, and further ones are added where all did.
        planned: epochs of an update that may stop early; those that never came are added.
        cut_short: whether it may stop within an epoch. Of the first one, what never came is cut as its first minibatch.
    """
    epochs, why = _epochs(steps, n)
    if why:
        return _none(n, why)
    sizes = _sizes(epochs[0])
    left = n - sum(sizes)
    if cut_short and len(epochs) == 1 and (planned > 1 or left >= max(sizes)):
        sizes += _equal(sizes[0], left)
    for i, epoch in enumerate(epochs):
        found = _sizes(epoch)
        if found != (sizes[: len(found)] if cut_short and epoch is epochs[-1] else sizes):
            return _none(n, _unlike(i, found, sizes))
    taken = [np.concatenate(epoch) for epoch in epochs]
    orders = [*_completed(taken, n, rng, foreseen, planned)]
    return Passes(np.stack(orders).astype(np.int32), sizes, "")


def _epochs(steps: Sequence[Records], n: int) -> tuple[list[list[Records]], str]:
    """The steps of each epoch, or why there are none.

    An epoch is over where less is left of it than the next step takes, or than a minibatch and the step takes something else.
    """
    everything = np.concatenate([np.zeros(0, np.int64), *steps])
    if ((everything < 0) | (everything >= n)).any():
        return [], f"a minibatch has a record that is not among 0 to {n - 1}"
    epochs: list[list[Records]] = []
    taken, left, largest = np.zeros(n, bool), 0, 0
    for step in steps:
        if left < len(step) or (left < largest and taken[step].any()):
            epochs.append([])
            taken[:], left, largest = False, n, 0
        epochs[-1].append(step)
        taken[step] = True
        left, largest = left - len(step), max(largest, len(step))
    if any(np.bincount(np.concatenate(epoch)).max() > 1 for epoch in epochs):
        return [], "an epoch takes a record more than once"
    return epochs, "" if epochs else "no minibatch was seen"


def _none(n: int, why: str) -> Passes:
    return Passes(np.zeros((0, n), np.int32), (), why)


def _sizes(epoch: Sequence[Records]) -> tuple[int, ...]:
    return tuple(len(step) for step in epoch)


def _equal(size: int, n: int) -> tuple[int, ...]:
    return tuple(min(size, n - start) for start in range(0, n, size))


def _unlike(epoch: int, found: tuple[int, ...], sizes: tuple[int, ...]) -> str:
    if found == sizes[: len(found)]:
        return f"epoch {epoch} stopped after {len(found)} of {len(sizes)} minibatches, and nothing says why (target_kl)"
    return f"the minibatches of epoch {epoch} have other sizes than those of the first"


def _completed(
    taken: Sequence[Records], n: int, rng: np.random.Generator, foreseen: Sequence[Records], planned: int
) -> Iterator[Records]:
    """A permutation for each epoch that begins with what it took, and then those that never came."""
    as_foreseen = len(taken) <= len(foreseen)
    for i, seen in enumerate(taken):
        if i < len(foreseen) and np.array_equal(foreseen[i][: len(seen)], seen):
            yield foreseen[i]
            continue
        as_foreseen = False
        rest = np.flatnonzero(np.bincount(seen, minlength=n) == 0)
        yield np.concatenate([seen, rng.permutation(rest)])
    for i in range(len(taken), max(planned, len(foreseen) if as_foreseen else 0)):
        yield foreseen[i] if as_foreseen and i < len(foreseen) else rng.permutation(n)

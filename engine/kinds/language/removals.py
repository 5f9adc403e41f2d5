"""Which sequences can go from a round: of a GRPO group one stays, for the others to be compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.draws import random_removals, removed_count
from engine.errors import BadInputError
from engine.kinds.language.sequences import LanguageSnapshot


def sequence_removals(snapshot: LanguageSnapshot, fraction: float, m: int, seed: int) -> NDArray[np.bool_]:
    """(m, n) random subsets of the sequences that the round's update used; of a GRPO round the same share of each group.

    Raises:
        BadInputError: as `draws.random_removals`, or a group is too small for the fraction.
    """
    if snapshot.language.algorithm != "grpo":
        return random_removals(snapshot, fraction, m, seed)
    buffer = snapshot.buffer
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, seed])
    removed = np.zeros((m, len(buffer)), bool)
    for number in np.unique(buffer.group[buffer.kept]):
        members = np.flatnonzero((buffer.group == number) & buffer.kept)
        count = removed_count(len(members), fraction) if len(members) > 1 else 0
        for row in removed:
            row[rng.permutation(members)[:count]] = True
    if not removed.any():
        raise BadInputError("no group has two responses that the update used, so none can be removed")
    return removed


def random_sequences(snapshot: LanguageSnapshot, removed: Any, order: int = 0) -> NDArray[np.int64]:
    """The control's draw for one minibatch order: as many kept records as `removed` takes, of no group all."""
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, order, len(removed)])
    kept = snapshot.buffer.kept
    wanted = np.count_nonzero(kept[list(removed)])
    shuffled = rng.permutation(np.flatnonzero(kept))
    chosen: NDArray[np.int64] = shuffled[:0]
    for record in shuffled:
        if len(chosen) == wanted:
            break
        chosen = with_one_of_each_group(snapshot, np.append(chosen, record))
    return np.sort(chosen)


def with_one_of_each_group(snapshot: LanguageSnapshot, dropped: NDArray[np.int64]) -> NDArray[np.int64]:
    """GRPO: the same without the last one of a group that would be left with none; `dropped` has the worst first."""
    if snapshot.language.algorithm != "grpo":
        return dropped
    group = snapshot.buffer.group
    left = np.bincount(group, minlength=int(group.max()) + 1) - np.bincount(
        group[dropped], minlength=int(group.max()) + 1
    )
    spared = [np.flatnonzero(group[dropped] == number)[-1] for number in np.unique(group[dropped]) if left[number] == 0]
    return np.delete(dropped, np.asarray(spared, np.int64))

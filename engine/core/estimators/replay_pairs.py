"""What `replay_regression` is fitted to: pairs of replays, one without a random half of the records and one without the rest.

Both replays of pair p take their steps in a minibatch order q_p that no other pair has, and that validation never uses. Let
s_i = 1 where the first one kept record i, -1 where the second did, and f = b_q + sum_i I_i + sum_ij J_ij + noise over what was
kept. Then half of the pair's

* difference is y_p = sum_i x_pi I_i + noise with x_pi = s_pi / 2: neither the order's own b_q nor what two records do together
  is in it, but for its mean over the others, which belongs to I_i;
* sum is b_q + sum_ij (1 + s_i s_j) J_ij / 4 + noise and a constant: what single records do is not in it.

An eighth of the pairs are halves that come again, in two orders that all of these share: what orders agree in is no noise, and
what differs within one is not the order's own. Nothing is fitted to those: they say how good a fit is (`foretold`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.draws import FIRST_ORDER_AGAIN, FIRST_PAIRED_ORDER, TRAINING_SEED, removed_count
from engine.core.kind import kind_of
from engine.core.replays.many import Replay, outcomes_of
from engine.core.targets.functions import Target
from engine.executors import INLINE, Pool, Progress
from engine.store.snapshot import Snapshot

HALF = 0.5
"""Share of the records that the first replay of a pair goes without."""
AGAIN = 16
"""Of so many pairs, the half of one comes again."""
SHARED_ORDERS = 2
"""Minibatch orders in which it does."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class PairOutcomes(NamedTuple):
    """f after every replay; the last axis is the replay without the half, and the one without the rest."""

    once: Floats
    """(targets, m, 2)"""
    again: Floats
    """(targets, r, SHARED_ORDERS, 2) the first r of these halves, in orders that they share."""


def halves(snapshot: Snapshot) -> Bools:
    """(m, n) random halves of the records that the update used, fewer where there are not so many.

    m is all of `Effort.pairs` but for those in which a half comes again.
    """
    kind, n = kind_of(snapshot), int(snapshot.buffer.kept.sum())
    pairs = kind.effort.pairs
    m = min(pairs - pairs // AGAIN * SHARED_ORDERS, comb(n, removed_count(n, HALF)))
    return kind.random_removals(snapshot, HALF, m, TRAINING_SEED)


def paired_replays(snapshot: Snapshot) -> list[Replay]:
    """2 (m + r SHARED_ORDERS) replays, the two of a pair together, those of the halves that come again last."""
    kept, once = snapshot.buffer.kept, halves(snapshot)
    again = once[: kind_of(snapshot).effort.pairs // AGAIN]
    shared = [(FIRST_ORDER_AGAIN + q, half) for half in again for q in range(SHARED_ORDERS)]
    pairs = [*enumerate(once, FIRST_PAIRED_ORDER), *shared]
    return [Replay(removed, order) for order, half in pairs for removed in (half, kept & ~half)]


def pair_outcomes(
    snapshot: Snapshot,
    targets: Sequence[Target],
    *,
    pool: Pool = INLINE,
    report: Progress = lambda doing, done, total: None,
) -> PairOutcomes:
    """The target after every one of the `paired_replays`; arguments as `replays.many.outcomes_of`."""
    doing = "replaying the update to fit replay_regression"
    found = outcomes_of(snapshot, targets, paired_replays(snapshot), pool=pool, report=report, doing=doing)
    by_pair, m = found.reshape(len(targets), -1, 2), len(halves(snapshot))
    return PairOutcomes(by_pair[:, :m], by_pair[:, m:].reshape(len(targets), -1, SHARED_ORDERS, 2))


def contrasts(snapshot: Snapshot) -> Floats:
    """(m, n) x: 1/2 where the first replay of the pair kept the record, -1/2 where the second did, 0 where neither."""
    return np.where(snapshot.buffer.kept, 0.5 - halves(snapshot), 0.0)


def half_differences(outcomes: Floats) -> Floats:
    """(..., m, 2) -> (..., m) y: [[3, 1], [2, 2]] -> [1, 0]."""
    return (outcomes[..., 0] - outcomes[..., 1]) / 2


def half_sums(outcomes: Floats) -> Floats:
    """(..., m, 2) -> (..., m): [[3, 1], [2, 2]] -> [2, 2]."""
    return outcomes.mean(axis=-1)

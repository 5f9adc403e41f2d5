"""Iterative influence-based filtering (IIF; paper, section 5): train on a part of each round, or on repaired records.

A filter looks at a round between collect and update and says which records the update goes without, or which ones it trains
on with another advantage (`core.repairs`); which ones, each kind of run says (`Kind.make_filter`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.influence import influence
from engine.core.kind import kind_of
from engine.core.repairs import REPAIRS
from engine.errors import BadInputError, ZeroGradientError
from engine.store.snapshot import Float32s, Snapshot

S = TypeVar("S", bound=Snapshot)


class Filtered(NamedTuple):
    """What a filter says of a collected round."""

    records: NDArray[np.int64]
    """Which ones it chooses."""
    why: str
    """In a few words."""
    actor_only: bool = False
    """The critic still trains on those that are dropped."""
    repairs: bool = False
    """The update goes on with them, repaired (`Kind.repaired`), in the place of dropping them."""


RecordFilter = Callable[..., Filtered]
"""Function of a snapshot."""


def filtered(snapshot: S, record_filter: RecordFilter | None) -> S:
    """The collected round as a filter leaves it; its metrics say how many records it dropped or repaired, and why."""
    if record_filter is None:
        return snapshot
    records, why, actor_only, repairs = record_filter(snapshot)
    kind, left = kind_of(snapshot), snapshot
    if repairs:
        left = kind.repaired(snapshot, records, REPAIRS[snapshot.config.repair])
    elif len(records):
        left = kind.removed(snapshot, records, actor_only=actor_only)
    if snapshot.config.filter_mode == "rebatch":
        left = left.gathered()
    counts = {"dropped": 0, "repaired": len(records)} if repairs else {"dropped": len(records)}
    return replace(left, metrics={**snapshot.metrics, **counts, "filter": why})


def actor_influence(snapshot: Snapshot) -> Float32s:
    """(n,) influence on the kind's own target through the actor's objective: the paper's filtering leaves the value loss out.

    With separate networks that is all of the influence; in a shared one the value loss moves the policy as well. By
    `config.filter_estimator`; those that follow the update follow the one on the whole round, value loss included, and
    leave the critic's term out of what each record is credited with.
    """
    estimator = snapshot.config.filter_estimator
    if estimator == "first_order":
        without_value = replace(snapshot, config=replace(snapshot.config, vf_coef=0.0))
        return influence(without_value, cache=False).influence
    scores = influence(snapshot, None, estimator, cache=False)
    return scores.influence - scores.terms["critic"]


Ranking = Callable[..., NDArray[np.floating]]
"""Gives every record a number from the snapshot and its influence; the smallest ones are dropped or repaired."""


def by_influence(_snapshot: Snapshot, scores: Float32s) -> NDArray[np.floating]:
    """IIF: the records that lowered the target most."""
    return scores


def at_random(snapshot: Snapshot, scores: Float32s) -> NDArray[np.floating]:
    """The control: as many records as IIF chooses, whichever."""
    return np.random.default_rng([snapshot.config.seed, 3, snapshot.round]).random(len(scores))


RANKINGS: Mapping[str, Ranking] = {
    "iif": by_influence,
    "random": at_random,
    "reestimate": by_influence,
    "reestimate_random": at_random,
}
"""The filters of records of any kind."""


def ranked_filter(config: TrainConfig) -> RecordFilter | None:
    """The filter of these names that a configuration asks for, or None.

    Raises:
        BadInputError: it asks for another one.
    """
    if config.filter == "none":
        return None
    rank = RANKINGS.get(config.filter)
    if rank is None:
        raise BadInputError(f"filter is {config.filter}; runs of this kind have none, {', '.join(RANKINGS)}")
    return lambda snapshot: choose_lowest(snapshot, config, rank, config.drop)


def choose_lowest(
    snapshot: Snapshot, config: TrainConfig, rank: Ranking, drop: float, evidence: str = "", *, actor_only: bool = False
) -> Filtered:
    """Choose as many records as `filtered_count` says, the lowest by a ranking, to be dropped or repaired.

    Args:
        snapshot: the collected round.
        config: names the filter.
        rank: which come first.
        drop: share of the records with negative influence.
        evidence: what else is to be said of it.
        actor_only: the critic still trains on those that are dropped.

    Raises:
        BadInputError: less than two minibatches would be left.
    """
    try:
        scores = actor_influence(snapshot)
    except ZeroGradientError:
        target = kind_of(snapshot).default_target
        why = f"nothing {done_to(config)}: the {target} target's gradient is zero"
        return Filtered(np.zeros(0, np.int64), why, actor_only, config.repairs)
    count = filtered_count(scores, drop)
    left = len(scores) - (0 if config.repairs else count)
    if left < 2 * config.batch_size:
        raise BadInputError(
            f"the filter would keep {left} records of round {snapshot.round}, fewer than two minibatches "
            f"({2 * config.batch_size}); use a smaller drop than {config.drop:g}"
        )
    chosen = np.argsort(rank(snapshot, scores), kind="stable")[:count]
    negatives = int((scores < 0).sum())
    what = "the worst" if rank is by_influence else "as many as the worst"
    why = f"{config.filter}: {what} {count} of {negatives} negative records by {config.filter_estimator}{evidence}"
    return Filtered(chosen, why, actor_only, config.repairs)


def done_to(config: TrainConfig) -> str:
    """What a configuration's filter does to the records that it chooses, in a word."""
    return "repaired" if config.repairs else "dropped"


def filtered_count(scores: Float32s, drop: float) -> int:
    """How many records IIF chooses: those strictly below the threshold sorted(I)[int(drop * negatives)].

    Influence [-3, -1, -1, 2] with drop 0.5 -> threshold sorted[1] = -1, one record (-3) lies below it. With drop 1 the
    threshold is the first that is not negative, so all negative records go.
    """
    negatives = int((scores < 0).sum())
    if negatives == 0:
        return 0
    ordered = np.sort(scores)
    place = int(negatives * drop)
    return negatives if place >= len(ordered) else int((ordered < ordered[place]).sum())


def bottom_fraction(scores: Float32s, fraction: float) -> NDArray[np.int64]:
    """The worst `fraction` of the records with negative influence, rounded down, sorted by number.

    With influence [-3, -1, 2, -2] and fraction 0.5: one and a half of three, so [0]. Unlike the filter's threshold, which
    may leave equal records in, this takes exactly that many; among equals those with the lower numbers.

    Raises:
        BadInputError: fraction is not in (0, 1], or no record is chosen.
    """
    if not 0 < fraction <= 1:
        raise BadInputError(f"the fraction to drop is {fraction}; it must be above 0 and at most 1")
    chosen = np.argsort(scores, kind="stable")[: int(fraction * (scores < 0).sum())]
    if len(chosen) == 0:
        raise BadInputError(f"no record is in the bottom {fraction:g} of the negative ones; choose a larger fraction")
    return np.sort(chosen)

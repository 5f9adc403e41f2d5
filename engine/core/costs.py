"""What a validation takes, and how much of it is done."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.controls import CONTROL_REPLAYS
from engine.core.estimators import DEFAULT_ESTIMATOR, PRIOR
from engine.core.influence import read_influence
from engine.core.orders import estimate_seconds as influence_seconds
from engine.core.regression import (
    REPLAY_REGRESSION,
    training_orders,
    training_removals,
    with_nothing_removed,
)
from engine.core.replays import finished_replays, replay_seconds
from engine.core.targets import Target
from engine.core.validation import ORDERS, SUBSETS, removals
from engine.executors import default_workers
from engine.store.snapshot import Snapshot

POOL_SECONDS = 4.0
"""Until the workers of a pool have started."""


def finished(
    snapshot: Snapshot,
    target: Target,
    estimators: Sequence[str],
    subsets: int,
    orders: int,
    fraction: float,
    design: str,
    score_orders: int = 1,
    device: str = "cpu",
) -> tuple[int, int]:
    """How many replays of a validation with these settings are kept, and how many it takes."""
    removed = removals(snapshot, target, estimators, subsets, orders, fraction, design, score_orders)
    done, total = finished_replays(snapshot, target, with_nothing_removed(removed), orders, device)
    if REPLAY_REGRESSION in estimators:
        to_fit = with_nothing_removed(training_removals(snapshot))
        fitted, all_to_fit = finished_replays(snapshot, target, to_fit, training_orders(score_orders))
        return done + fitted, total + all_to_fit
    return done, total


def estimate_seconds(
    snapshot: Snapshot,
    subsets: int = SUBSETS,
    orders: int = ORDERS,
    workers: int | None = None,
    estimators: Sequence[str] = (DEFAULT_ESTIMATOR,),
    one: float | None = None,
    score_orders: int = 1,
) -> float:
    """Seconds that `validate` would take with nothing kept from earlier.

    Args:
        snapshot: round k.
        subsets: as `validate`.
        orders: as `validate`.
        workers: as `validate`.
        estimators: as `validate`.
        one: seconds of one replay; by default a replay is timed.
        score_orders: as `validate`. The scores of one order take seconds, and are counted where there are several.
    """
    count = (subsets + 1) * orders
    if REPLAY_REGRESSION in estimators:
        count += (1 + len(training_removals(snapshot))) * training_orders(score_orders)
    one = replay_seconds(snapshot) if one is None else one
    return scoring_seconds(snapshot, estimators, score_orders) + replaying_seconds(one, count, workers)


def scoring_seconds(
    snapshot: Snapshot, estimators: Sequence[str], score_orders: int, target: Target | None = None
) -> float:
    """Seconds that the scores take which `validate` measures; 0 for those of one order, which are quick, and those kept.

    Args:
        snapshot: round k.
        estimators: as `validate`. `replay_regression` counts as what it starts from; its replays are replays.
        score_orders: as `validate`.
        target: f, whose kept scores cost nothing; None: nothing is kept.
    """
    if score_orders == 1:
        return 0.0
    analytic = {PRIOR if name == REPLAY_REGRESSION else name for name in estimators}
    missing = [
        name
        for name in analytic
        if target is None or read_influence(snapshot, target, name, orders=score_orders) is None
    ]
    return sum(influence_seconds(snapshot, name, target, score_orders) for name in missing)


def replaying_seconds(one: float, count: int, workers: int | None = None, pool: bool = True) -> float:
    """Seconds that so many replays take, and the controls of a validation.

    Args:
        one: seconds of one replay.
        count: replays.
        workers: at a time; by default one a core.
        pool: whether in processes of their own, or one after another here.
    """
    if not pool:
        return one * (count + CONTROL_REPLAYS)
    return POOL_SECONDS + one * (count / (workers or default_workers()) + CONTROL_REPLAYS)

"""What a validation takes, and how much of it is done."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.estimators.averaged_over_orders import influence_seconds
from engine.core.estimators.registry import DEFAULT_ESTIMATOR, PRIOR, REPLAY_REGRESSION
from engine.core.estimators.replay_pairs import halves, paired_replays
from engine.core.faithfulness.controls import CONTROL_REPLAYS
from engine.core.faithfulness.measure import Measurement, removals
from engine.core.influence import read_influence
from engine.core.replays.many import finished_replays, grid, replay_seconds, with_nothing_removed
from engine.core.targets.functions import Target
from engine.executors import PROCESSES, Pool
from engine.store.snapshot import Snapshot


def finished(snapshot: Snapshot, target: Target, estimators: Sequence[str], how: Measurement) -> tuple[int, int]:
    """How many replays of a validation with these settings are kept, and how many it takes."""
    removed = removals(snapshot, target, estimators, how)
    measured = grid(with_nothing_removed(removed), how.orders)
    done, total = finished_replays(snapshot, target, measured, how.device)
    if REPLAY_REGRESSION in estimators:
        fitted, all_to_fit = finished_replays(snapshot, target, paired_replays(snapshot))
        return done + fitted, total + all_to_fit
    return done, total


def validation_seconds(
    snapshot: Snapshot,
    how: Measurement | None = None,
    estimators: Sequence[str] = (DEFAULT_ESTIMATOR,),
    pool: Pool = PROCESSES,
    one: float | None = None,
) -> float:
    """Seconds that `validate` would take with nothing kept from earlier.

    Args:
        snapshot: round k.
        how: what is measured; None: what the kind of run is measured with.
        estimators: as `validate`.
        pool: where replays are done.
        one: seconds of one replay; by default a replay is timed. The scores of one order take seconds, and are counted where
            there are several.
    """
    how = Measurement.of(snapshot) if how is None else how
    count = (how.subsets + 1) * how.orders
    if REPLAY_REGRESSION in estimators:
        count += 2 * len(halves(snapshot))
    one = replay_seconds(snapshot) if one is None else one
    return scoring_seconds(snapshot, estimators, how.score_orders) + replaying_seconds(one, count, pool)


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


def replaying_seconds(one: float, count: int, pool: Pool = PROCESSES) -> float:
    """Seconds that so many replays take, and the controls of a validation.

    Args:
        one: seconds of one replay.
        count: replays.
        pool: where they are done.
    """
    return pool.seconds(one * count) + one * CONTROL_REPLAYS

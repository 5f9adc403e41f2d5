"""An estimator averaged over minibatch orders, and how long that takes.

What removing a record does is an expectation over the order of the minibatches, and one order is mostly noise. Order 0 is
the recorded one; the others are those of `replay(order=q)`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from engine.core.checkpoint import one_thread
from engine.core.chosen_targets import named_target
from engine.core.estimators.registry import ESTIMATORS, PRIOR, REPLAY_REGRESSION, replay_regression
from engine.core.estimators.replay_regression import training_seconds
from engine.core.gradients.attribution import Attribution
from engine.core.kind import kind_of
from engine.core.replays.replay import intervene
from engine.core.targets.functions import Target
from engine.errors import BadInputError
from engine.executors import INLINE, Pool
from engine.store.snapshot import Float32s, Snapshot
from engine.typed import whole

OnProgress = Callable[[int, int], None]
"""Told (steps done, steps in all) before every step; raise from it to cancel."""

CALIBRATION_STEPS = (4, 16)
"""Optimizer steps of the two updates that a cost estimate times."""


def check_request(estimator: str, orders: int) -> None:
    """Refuse what can't be computed.

    Raises:
        BadInputError: there is no such estimator, or no order to average over.
    """
    if not isinstance(estimator, str) or estimator not in ESTIMATORS:
        raise BadInputError(f"unknown estimator {estimator!r}; there is {', '.join(ESTIMATORS)}")
    if whole(orders, "orders") < 1:
        raise BadInputError(f"orders is {orders}; it must be at least 1 (the recorded minibatch order)")


def attribute(
    snapshot: Snapshot,
    target: Target,
    estimator: str,
    orders: int = 1,
    on_step: OnProgress | None = None,
    by_layer: bool = False,
    pool: Pool = INLINE,
) -> Attribution:
    """Influence as the mean over the first `orders` minibatch orders.

    Args:
        snapshot: round k.
        target: f.
        estimator: a name in `registry.ESTIMATORS`. `first_order` knows the order by its advantages alone, which are
            normalised within the first epoch's minibatches; `replay_regression` averages what it starts from; every
            pair of its replays has an order of its own in any case.
        orders: how many; 1 is the recorded order alone.
        on_step: told of the progress; raise from it to cancel.
        by_layer: whether to split it by layer as well.
        pool: where `replay_regression` makes its replays; others are computed in this process.

    Raises:
        BadInputError: unknown estimator, no orders, or several of a round that was recorded without its minibatches.
        ZeroGradientError: every influence would be 0.
    """
    check_request(estimator, orders)
    if orders > 1 and not snapshot.minibatches.size:
        raise BadInputError(
            f"round {snapshot.round} was recorded without its minibatches, so there are no orders to average over; "
            "leave orders at 1"
        )
    one_thread()
    if estimator == REPLAY_REGRESSION:
        told = on_step or (lambda done, total: None)
        prior = attribute(snapshot, target, PRIOR, orders, by_layer=by_layer)
        return replay_regression(snapshot, target, prior, lambda _, done, total: told(done, total), pool)
    steps = planned_steps(snapshot)
    found: list[Attribution] = []
    done = 0

    def step() -> None:
        nonlocal done
        if on_step is not None:
            on_step(min(done, orders * steps - 1), orders * steps)
        done += 1

    for order in range(orders):
        done = order * steps
        found.append(ESTIMATORS[estimator](intervene(snapshot, (), order=order), target, step, by_layer))
    if on_step is not None:
        on_step(orders * steps, orders * steps)
    return found[0] if orders == 1 else found[0].map(_mean, *found[1:])


def _mean(*parts: Float32s) -> Float32s:
    return np.stack(parts).mean(axis=0, dtype=np.float64).astype(np.float32)


def planned_steps(snapshot: Snapshot) -> int:
    """Optimizer steps of the round's update, if neither target_kl nor a removal shortens it."""
    epochs, n = snapshot.minibatches.shape
    return epochs * len(snapshot.config.cuts(n))


def influence_seconds(
    snapshot: Snapshot,
    estimator: str,
    target: Target | None = None,
    orders: int = 1,
    by_layer: bool = False,
    pool: Pool = INLINE,
    *,
    an_order: Callable[[str, bool], float] | None = None,
    a_replay: Callable[[], float] | None = None,
) -> float:
    """How long `attribute` will take here, from timing it on two short updates of the round's own records.

    Of large models, where even that takes long, from what the round's update took; see `Kind.seconds_an_order`.

    Args:
        snapshot: round k.
        estimator: a name in `registry.ESTIMATORS`. Of `replay_regression` replays that are kept cost nothing.
        target: f; by default the return over the round's buffer.
        orders: minibatch orders to average over.
        by_layer: whether to split by layer as well.
        pool: where `replay_regression` makes its replays.
        an_order: seconds of an estimator over one order, split by layer or not, where somebody has timed it.
        a_replay: seconds of one replay, likewise.

    Returns:
        Wall-clock seconds. The estimate itself takes what a few optimizer steps take.

    Raises:
        BadInputError: unknown estimator, or no orders.
    """
    check_request(estimator, orders)
    one_thread()
    target = named_target(snapshot) if target is None else target
    if estimator == REPLAY_REGRESSION:
        prior = influence_seconds(snapshot, PRIOR, target, orders, by_layer, an_order=an_order)
        return prior + training_seconds(snapshot, target, a_replay, pool)
    known = kind_of(snapshot).seconds_an_order(snapshot, estimator, by_layer)
    if known is None:
        known = an_order(estimator, by_layer) if an_order else _timed_order(snapshot, estimator, target, by_layer)
    return orders * known


def _timed_order(snapshot: Snapshot, estimator: str, target: Target, by_layer: bool) -> float:
    """Seconds of an estimator over one order, from two short updates."""
    steps, seconds = [], []
    for wanted in (1, *CALIBRATION_STEPS):
        short = _shortened(snapshot, wanted)
        started = time.perf_counter()
        ESTIMATORS[estimator](short, target, by_layer=by_layer)
        steps.append(planned_steps(short))
        seconds.append(time.perf_counter() - started)
    # The first one only warms up.
    fewer, more = steps[1:]
    a_step = max(0.0, seconds[2] - seconds[1]) / max(1, more - fewer)
    return seconds[2] + a_step * (planned_steps(snapshot) - more)


def _shortened(snapshot: Snapshot, steps: int) -> Snapshot:
    """The round with an update of about that many steps."""
    cuts = snapshot.config.cuts(len(snapshot.buffer))
    epochs, (_, columns) = math.ceil(steps / len(cuts)), cuts[min(steps, len(cuts)) - 1]
    return snapshot.changed(minibatches=snapshot.minibatches[:epochs, :columns])

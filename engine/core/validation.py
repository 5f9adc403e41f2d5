"""Does the attribution predict what removal does? Remove records, really replay the update, and compare."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import same_machine
from engine.core.controls import null_control, smoothness
from engine.core.estimators import DEFAULT_ESTIMATOR, ESTIMATORS, PRIOR
from engine.core.influence import influence
from engine.core.lds import Interval, additivity, lds, noise_ceiling
from engine.core.regression import (
    REPLAY_REGRESSION,
    effects,
    training_orders,
    training_replays,
    with_nothing_removed,
)
from engine.core.replays import (
    Progress,
    extreme_removals,
    random_removals,
    replays,
)
from engine.core.targets import Described, Target, named_target
from engine.core.trust import Faithfulness, Validation, averaged_name, defined, keep_validation
from engine.errors import BadInputError
from engine.executors import check_executor
from engine.kinds.control.batched_replays import check_device
from engine.store.read import Run, snapshot_of
from engine.store.snapshot import Snapshot

SUBSETS, ORDERS, FRACTION = 64, 16, 0.5
MOST_SUBSETS = 100_000
DESIGNS = ("random", "extremes")


def validate(
    source: Snapshot | Run | str | Path,
    target: Target | str = "return",
    estimators: Sequence[str] = (DEFAULT_ESTIMATOR,),
    *,
    round: int | None = None,
    subsets: int = SUBSETS,
    orders: int = ORDERS,
    fraction: float = FRACTION,
    design: str = "random",
    score_orders: int = 1,
    executor: str = "processes",
    workers: int | None = None,
    device: str = "cpu",
    report: Progress = lambda doing, done, total: None,
) -> Validation:
    """Measure whether influence predicts what removing records does, by many real replays.

    >>> import engine
    >>> few = {"subsets": 12, "orders": 2, "executor": "inline"}  # some tens of replays, in this process
    >>> found = engine.validate("sample_runs/FrozenLake-v1", "return", round=3, **few)
    >>> print(found.sentence("first_order"))
    first_order predicts removal here: LDS 0.9... (0... to ...) of a possible 0.9...

    Each of the random subsets of the round's records is removed, and the update replayed without it in the same minibatch
    orders. Finished replays are kept in the run's `derived/`: an interrupted validation continues with the same call, and
    one with more subsets, orders or estimators makes only the replays that are missing.

    Args:
        source: round k, or a run (then say which round).
        target: `"return"`, or a target such as `engine.action_target(snapshot, record=17)`.
        estimators: names in `estimators.ESTIMATORS`. `replay_regression` is fitted to replays of its own first, so that it is
            never measured on what it was fitted to.
        round: k, where `source` is a run.
        subsets: how many subsets to remove, at least 3.
        orders: minibatch orders that each is replayed in; at least 2 for a noise ceiling.
        fraction: share of the records that a subset has, above 0 and below 1.
        design: `random` subsets, or `extremes`: the top and the bottom records of the first estimator (of `tracin_adam`, if
            that is `replay_regression`), in steps up to the fraction.
        score_orders: minibatch orders that the scores are averaged over, as `influence` does; 1 is the recorded order.
        executor: `processes`, `inline` or `ray`; `processes` needs a main module that can be imported again.
        workers: processes at a time; by default one a core.
        device: `cpu` replays exactly; `cuda` replays hundreds at a time, to rounding. Estimators (and what
            `replay_regression` is fitted to) are the CPU's in either case, and so are the controls.
        report: told the replays that are done, of how many; raise from it to cancel.

    Returns:
        The LDS of each estimator beside the noise ceiling, also kept for `read_validation`.

    Raises:
        BadInputError: bad settings, unknown estimator or target, a target whose gradient is zero, or a device that is not
            here or can't replay these networks. Nothing was replayed.
        EngineError: a worker died; what was finished is kept.
    """
    snapshot = snapshot_of(source, round)
    chosen = named_target(snapshot, target) if isinstance(target, str) else target
    (found,) = validate_targets(
        snapshot,
        [chosen],
        estimators,
        subsets=subsets,
        orders=orders,
        fraction=fraction,
        design=design,
        score_orders=score_orders,
        executor=executor,
        workers=workers,
        device=device,
        report=report,
    )
    return found


def validate_targets(
    snapshot: Snapshot,
    targets: Sequence[Target],
    estimators: Sequence[str] = (DEFAULT_ESTIMATOR,),
    *,
    subsets: int = SUBSETS,
    orders: int = ORDERS,
    fraction: float = FRACTION,
    design: str = "random",
    score_orders: int = 1,
    executor: str = "processes",
    workers: int | None = None,
    device: str = "cpu",
    report: Progress = lambda doing, done, total: None,
) -> list[Validation]:
    """`validate` for several targets at the price of one: each replay is evaluated on all of them."""
    start = time.monotonic()
    check_executor(executor, workers)
    check_device(snapshot, device)
    removed = removals(snapshot, targets[0], estimators, subsets, orders, fraction, design, score_orders)
    for target in targets:
        influence(snapshot, target)  # a zero gradient is told before anything is replayed
    if REPLAY_REGRESSION in estimators and snapshot.hash:  # kept, and so not replayed again one by one for each target
        training_replays(
            snapshot, targets, training_orders(score_orders), executor=executor, workers=workers, report=report
        )

    def scores(target: Target, name: str) -> NDArray[np.float32]:
        def on_step(done: int, total: int) -> None:
            report(f"scoring the records by {name}", done, total)

        told = None if name == DEFAULT_ESTIMATOR and score_orders == 1 else on_step
        return influence(snapshot, target, name, orders=score_orders, on_step=told).influence

    scored = [{averaged_name(name, score_orders): scores(target, name) for name in estimators} for target in targets]
    null = null_control(snapshot)
    outcomes = replays(
        snapshot,
        targets,
        with_nothing_removed(removed),
        orders,
        executor=executor,
        workers=workers,
        device=device,
        report=report,
    )
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round])
    smooth = smoothness(snapshot, rng)
    return [
        summarize(
            snapshot,
            target,
            of_target,
            removed,
            values,
            rng,
            design=design
            if design == "random"
            else f"extremes of {averaged_name(ranked_by(estimators), score_orders)}",
            fraction=fraction,
            null=null,
            fingerprint_equal=same_machine(snapshot.fingerprint),
            metasmoothness=smooth,
            device=device,
            start=start,
        )
        for target, of_target, values in zip(targets, scored, outcomes, strict=True)
    ]


def summarize(
    snapshot: Snapshot,
    target: Described,
    influence: Mapping[str, NDArray[np.float32]],
    removed: NDArray[np.bool_],
    values: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    design: str,
    fraction: float,
    null: tuple[bool | None, float | None],
    fingerprint_equal: bool,
    metasmoothness: float,
    device: str = "cpu",
    start: float,
) -> Validation:
    """What the replays say of each estimator, stored as the round's validation.

    Args:
        snapshot: round k.
        target: f.
        influence: estimator, by its `averaged_name` -> (n,).
        removed: (subsets, n).
        values: (1 + subsets, orders) of f, nothing being removed in the first row.
        rng: draws the bootstrap resamples.
        design: in words.
        fraction: share of the records that a subset has.
        null: what `controls.null_control` found.
        fingerprint_equal: whether this machine is the one that recorded the round.
        metasmoothness: what `controls.smoothness` found.
        device: where it was replayed.
        start: `time.monotonic` at the beginning.
    """
    subsets, orders = len(removed), values.shape[1]
    differences = values[1:] - values[0]
    ceiling = noise_ceiling(differences, rng) or Interval(math.nan, math.nan, math.nan)
    error = differences.std(axis=1, ddof=1) / math.sqrt(orders) if orders > 1 else np.full(subsets, math.nan)
    measured = Validation(
        round=snapshot.round,
        target=target.describe(),
        snapshot_hash=snapshot.hash,
        design=design,
        fraction=fraction,
        subsets=subsets,
        orders=orders,
        estimators={name: _faithfulness(each, removed, values, rng) for name, each in influence.items()},
        ceiling=defined(ceiling.value),
        ceiling_low=defined(ceiling.low),
        ceiling_high=defined(ceiling.high),
        actual=tuple(effects(values).tolist()),
        actual_error=tuple(error.tolist()),
        null_exact=null[0],
        null_difference=null[1],
        fingerprint_equal=fingerprint_equal,
        metasmoothness=metasmoothness,
        device=device,
        seconds=time.monotonic() - start,
        created=time.time(),
    )
    keep_validation(snapshot, target, measured)
    return measured


def removals(
    snapshot: Snapshot,
    target: Target,
    estimators: Sequence[str],
    subsets: int,
    orders: int,
    fraction: float,
    design: str,
    score_orders: int = 1,
) -> NDArray[np.bool_]:
    """(subsets, n) what `validate` with these settings removes; errors as there."""
    check_measurement(estimators, ESTIMATORS, subsets, orders)
    if score_orders < 1:
        raise BadInputError(f"score_orders is {score_orders}; it must be at least 1 (the recorded minibatch order)")
    if design not in DESIGNS:
        raise BadInputError(f"unknown design {design!r}; it must be {' or '.join(DESIGNS)}")
    if design == "random":
        return random_removals(snapshot, fraction, subsets)
    ranking = influence(snapshot, target, ranked_by(estimators), orders=score_orders).influence
    return extreme_removals(snapshot, ranking, fraction, subsets)


def ranked_by(estimators: Sequence[str]) -> str:
    """Whose top and bottom records the design `extremes` removes."""
    return PRIOR if estimators[0] == REPLAY_REGRESSION else estimators[0]


def check_measurement(estimators: Sequence[str], known: Collection[str], subsets: int, orders: int) -> None:
    """Refuse what can't be measured.

    Raises:
        BadInputError: no estimator or one that is not known, or too few subsets or orders.
    """
    if not estimators:
        raise BadInputError(f"no estimator is named; there is {', '.join(known)}")
    for name in estimators:
        if name not in known:
            raise BadInputError(f"unknown estimator {name!r}; there is {', '.join(known)}")
    if subsets < 3:
        raise BadInputError(
            f"subsets is {subsets}; it must be at least 3, because two always agree in rank or disagree"
        )
    if subsets > MOST_SUBSETS:
        raise BadInputError(f"subsets is {subsets}; at most {MOST_SUBSETS} can be kept in memory")
    if orders < 1:
        raise BadInputError(f"orders is {orders}; it must be at least 1, and at least 2 for a noise ceiling")


def _faithfulness(
    influence: NDArray[np.float32], removed: NDArray[np.bool_], outcomes: NDArray[np.float64], rng: np.random.Generator
) -> Faithfulness:
    predicted, actual = removed @ -influence.astype(np.float64), effects(outcomes)
    line = additivity(predicted, actual)
    return Faithfulness(*lds(influence, ~removed, outcomes[1:], rng), line.slope, line.r2, tuple(predicted.tolist()))

"""Does the attribution predict what removal does? Remove records, really replay the update, and compare."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from engine.core.chosen_targets import chosen_target
from engine.core.draws import FIRST_PAIRED_ORDER, VALIDATION_SEED, extreme_removals
from engine.core.estimators.averaged_over_orders import check_request
from engine.core.estimators.registry import DEFAULT_ESTIMATOR, ESTIMATORS, PRIOR, REPLAY_REGRESSION
from engine.core.estimators.replay_pairs import pair_outcomes
from engine.core.faithfulness.controls import null_control, smoothness
from engine.core.faithfulness.kept_validations import keep_validation
from engine.core.faithfulness.lds import additivity, effects, lds, noise_ceiling, summed
from engine.core.faithfulness.result import Faithfulness, Validation, defined
from engine.core.influence import influence
from engine.core.kind import kind_of, recorded_here
from engine.core.policy import with_gradients
from engine.core.replays.many import replays, with_nothing_removed
from engine.core.replays.replay import check_device, check_replayable
from engine.core.targets.functions import Target
from engine.core.targets.question import Question, TargetName, averaged_name
from engine.errors import BadInputError
from engine.executors import PROCESSES, Pool, Progress
from engine.intervals import Interval
from engine.store.read import Run, snapshot_of
from engine.store.snapshot import Snapshot
from engine.typed import AtLeastOne, settle

T = TypeVar("T")
Design = Literal["random", "extremes"]

MOST_SUBSETS = 100_000
"""As many as are kept in memory."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How faithfulness is measured: what is removed, and how it is replayed.

    >>> import engine
    >>> few = engine.Measurement(subsets=6, orders=2, fraction=0.25)
    >>> found = engine.validate("sample_runs/FrozenLake-v1", round=3, how=few, pool=engine.Pool("inline"))
    >>> found.subsets, found.fraction
    (6, 0.25)

    Raises:
        BadInputError: a setting is unknown or out of range.
    """

    subsets: Annotated[int, Meta(ge=3, le=MOST_SUBSETS)]
    """Subsets to remove, at least 3: two always agree in rank or disagree."""
    orders: Annotated[int, Meta(ge=1, le=FIRST_PAIRED_ORDER)]
    """Minibatch orders that each is replayed in; at least 2 for a noise ceiling. None is one that an estimator is fitted to."""
    fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """Share of the records that a subset has, above 0 and below 1."""
    design: Design = "random"
    """`random` subsets, or `extremes`: the top and bottom records of the first estimator."""
    score_orders: AtLeastOne = 1
    """Minibatch orders that the scores are averaged over; 1 is the recorded one."""
    device: str = "cpu"
    """`cpu` replays exactly, `cuda` to rounding."""

    def __post_init__(self) -> None:
        settle(self)
        check_device(self.device)

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        *,
        subsets: int | None = None,
        orders: int | None = None,
        fraction: float = 0.5,
        design: Design = "random",
        score_orders: int = 1,
        device: str = "cpu",
    ) -> Measurement:
        """With as many subsets and orders as the kind of run is measured with where nobody says otherwise."""
        effort = kind_of(snapshot).effort
        return cls(
            subsets=effort.subsets if subsets is None else subsets,
            orders=effort.orders if orders is None else orders,
            fraction=fraction,
            design=design,
            score_orders=score_orders,
            device=device,
        )


@with_gradients
def validate(
    source: Snapshot | Run | str | Path,
    target: Target | TargetName | Question | str | None = None,
    estimators: Sequence[str] | str = (DEFAULT_ESTIMATOR,),
    *,
    round: int | None = None,
    subsets: int | None = None,
    orders: int | None = None,
    fraction: float = 0.5,
    design: Design = "random",
    score_orders: int = 1,
    executor: str = "processes",
    workers: int | None = None,
    device: str = "cpu",
    how: Measurement | None = None,
    pool: Pool | None = None,
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
        target: as `influence`; a `Question` says the estimator and the orders of its scores, too.
        estimators: names in `registry.ESTIMATORS`, or one. `replay_regression` is fitted to replays of its own first, so
            that it is never measured on what it was fitted to.
        round: k, where `source` is a run.
        subsets: how many subsets to remove, at least 3; by default 64, of a language model 32. Those of a GRPO round take
            the same share of each group, so that none is removed as a whole.
        orders: minibatch orders that each is replayed in; at least 2 for a noise ceiling. By default 16, of a language
            model 4.
        fraction: share of the records that a subset has, above 0 and below 1.
        design: `random` subsets, or `extremes`: the top and the bottom records of the first estimator (of `tracin_adam`, if
            that is `replay_regression`), in steps up to the fraction.
        score_orders: minibatch orders that the scores are averaged over, as `influence` does; 1 is the recorded order.
        executor: `processes`, `inline` or `ray`; `processes` needs a main module that can be imported again.
        workers: processes at a time; by default one a core.
        device: `cpu` replays exactly; `cuda` replays hundreds at a time, to rounding. Estimators (and what
            `replay_regression` is fitted to) are the CPU's in either case, and so are the controls.
        how: subsets, orders, fraction, design, score_orders and device as one value, in their place.
        pool: executor and workers as one value, in their place.
        report: told the replays that are done, of how many; raise from it to cancel.

    Returns:
        The LDS of each estimator beside the noise ceiling, also kept for `read_validation`.

    Raises:
        BadInputError: bad settings, unknown estimator or target, a target whose gradient is zero, or a device that is not
            here or can't replay these networks. Nothing was replayed.
        EngineError: a worker died; what was finished is kept.
    """
    snapshot = snapshot_of(source, round)
    loose = Measurement.of(
        snapshot,
        subsets=subsets,
        orders=orders,
        fraction=fraction,
        design=design,
        score_orders=score_orders,
        device=device,
    )
    how = _one_of("how", how, loose, Measurement.of(snapshot))
    if isinstance(target, Question):
        asked = target.alone(beside=(estimators, how.score_orders) != ((DEFAULT_ESTIMATOR,), 1))
        estimators, how = asked.estimator, replace(how, score_orders=asked.orders)
    pool = _one_of("pool", pool, Pool(executor, workers), PROCESSES)
    names = (estimators,) if isinstance(estimators, str) else tuple(estimators)
    (found,) = validate_targets(snapshot, [chosen_target(snapshot, target)], how, names, pool=pool, report=report)
    return found


def _one_of(name: str, given: T | None, loose: T, default: T) -> T:
    """Settings as one value or loose.

    Raises:
        BadInputError: both are given.
    """
    if given is not None and loose != default:
        raise BadInputError(f"{name}= is given, and so are settings that it has; give one or the other")
    return loose if given is None else given


def validate_targets(
    snapshot: Snapshot,
    targets: Sequence[Target],
    how: Measurement,
    estimators: Sequence[str] = (DEFAULT_ESTIMATOR,),
    *,
    pool: Pool = PROCESSES,
    report: Progress = lambda doing, done, total: None,
) -> list[Validation]:
    """`validate` for several targets at the price of one: each replay is evaluated on all of them."""
    start = time.monotonic()
    pool.check()
    check_replayable(snapshot, how.device)
    removed = removals(snapshot, targets[0], estimators, how)
    for target in targets:
        influence(snapshot, target)  # a zero gradient is told before anything is replayed
    if REPLAY_REGRESSION in estimators and snapshot.hash:  # kept, and so not replayed again one by one for each target
        pair_outcomes(snapshot, targets, pool=pool, report=report)

    def scores(target: Target, name: str) -> NDArray[np.float32]:
        def on_step(done: int, total: int) -> None:
            report(f"scoring the records by {name}", done, total)

        told = None if name == DEFAULT_ESTIMATOR and how.score_orders == 1 else on_step
        return influence(snapshot, target, name, orders=how.score_orders, on_step=told).influence

    scored = [{name: scores(target, name) for name in estimators} for target in targets]
    null = null_control(snapshot)
    outcomes = replays(
        snapshot, targets, with_nothing_removed(removed), how.orders, pool=pool, device=how.device, report=report
    )
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round])
    controls = Controls(null, recorded_here(snapshot), smoothness(snapshot, rng))
    ranked = averaged_name(ranked_by(estimators), how.score_orders)
    design = how.design if how.design == "random" else f"{how.design} of {ranked}"
    return [
        summarize(snapshot, target, how, design, of_target, removed, values, controls, rng, start)
        for target, of_target, values in zip(targets, scored, outcomes, strict=True)
    ]


class Controls(NamedTuple):
    """Whether the replays themselves are to be trusted."""

    null: tuple[bool | None, float | None]
    """What `controls.null_control` found."""
    fingerprint_equal: bool
    """Whether this machine is the one that recorded the round."""
    metasmoothness: float
    """What `controls.smoothness` found."""


def summarize(
    snapshot: Snapshot,
    target: Target,
    how: Measurement,
    design: str,
    influence: Mapping[str, NDArray[np.float32]],
    removed: NDArray[np.bool_],
    values: NDArray[np.float64],
    controls: Controls,
    rng: np.random.Generator,
    start: float,
) -> Validation:
    """What the replays say of each estimator, stored as the round's validation.

    Args:
        snapshot: round k.
        target: f.
        how: what was measured.
        design: in words, see `Validation.design`.
        influence: estimator -> (n,), averaged over `how.score_orders`.
        removed: (subsets, n).
        values: (1 + subsets, orders) of f, nothing being removed in the first row.
        controls: what was found of the replays themselves.
        rng: draws the bootstrap resamples.
        start: `time.monotonic` at the beginning.
    """
    subsets, orders = len(removed), values.shape[1]
    differences = values[1:] - values[0]
    ceiling = noise_ceiling(differences, rng) or Interval()
    error = differences.std(axis=1, ddof=1) / math.sqrt(orders) if orders > 1 else np.full(subsets, math.nan)
    measured = Validation(
        round=snapshot.round,
        target=target.describe(),
        snapshot_hash=snapshot.hash,
        design=design,
        fraction=how.fraction,
        subsets=subsets,
        orders=orders,
        estimators={
            averaged_name(name, how.score_orders): replace(
                _faithfulness(each, removed, values, rng), estimator=name, orders=how.score_orders
            )
            for name, each in influence.items()
        },
        ceiling=defined(ceiling.value),
        ceiling_low=defined(ceiling.low),
        ceiling_high=defined(ceiling.high),
        actual=tuple(effects(values).tolist()),
        actual_error=tuple(error.tolist()),
        null_exact=controls.null[0],
        null_difference=controls.null[1],
        fingerprint_equal=controls.fingerprint_equal,
        metasmoothness=controls.metasmoothness,
        device=how.device,
        seconds=time.monotonic() - start,
        created=time.time(),
    )
    keep_validation(snapshot, target, measured)
    return measured


def removals(snapshot: Snapshot, target: Target, estimators: Sequence[str], how: Measurement) -> NDArray[np.bool_]:
    """(subsets, n) what `validate` with these settings removes; errors as there."""
    if not estimators:
        raise BadInputError(f"no estimator is named; there is {', '.join(ESTIMATORS)}")
    for name in estimators:
        check_request(name, how.score_orders)
    if how.design == "random":
        return kind_of(snapshot).random_removals(snapshot, how.fraction, how.subsets, VALIDATION_SEED)
    ranking = influence(snapshot, target, ranked_by(estimators), orders=how.score_orders).influence
    return extreme_removals(snapshot, ranking, how.fraction, how.subsets)


def ranked_by(estimators: Sequence[str]) -> str:
    """Whose top and bottom records the design `extremes` removes."""
    return PRIOR if estimators[0] == REPLAY_REGRESSION else estimators[0]


def _faithfulness(
    influence: NDArray[np.float32], removed: NDArray[np.bool_], outcomes: NDArray[np.float64], rng: np.random.Generator
) -> Faithfulness:
    predicted, actual = summed(removed, -influence), effects(outcomes)
    line = additivity(predicted, actual)
    return Faithfulness(*lds(influence, ~removed, outcomes[1:], rng), line.slope, line.r2, tuple(predicted.tolist()))

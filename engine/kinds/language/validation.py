"""Does the influence of sequences predict what removing them does? Really replayed, as for control tasks."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread
from engine.core.controls import null_control, smoothness
from engine.core.costs import replaying_seconds
from engine.core.regression import with_nothing_removed
from engine.core.replays import (
    VALIDATION_SEED,
    Progress,
    Task,
    finished_replays,
    random_removals,
    removed_count,
    replay_seconds,
    replays,
)
from engine.core.trust import Validation
from engine.core.validation import check_measurement, summarize
from engine.errors import BadInputError
from engine.executors import check_executor
from engine.kinds.language.influence import LANGUAGE_ESTIMATORS, sequence_influence
from engine.kinds.language.learner import same_language_machine
from engine.kinds.language.replay import replay_language
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.targets import TokenTarget, language_target

SUBSETS, ORDERS, FRACTION = 32, 4, 0.5


def validate_language(
    snapshot: LanguageSnapshot,
    target: TokenTarget | str = "sequence",
    estimators: Sequence[str] = ("first_order",),
    *,
    subsets: int = SUBSETS,
    orders: int = ORDERS,
    fraction: float = FRACTION,
    executor: str = "processes",
    workers: int | None = None,
    report: Progress = lambda doing, done, total: None,
) -> Validation:
    """`attribution.validation.validate` for a round of sequences, by real replays without random ones of them.

    The removals of a GRPO round take the same share of each group, so that none is removed as a whole.

    Args:
        snapshot: round k.
        target: `"sequence"`, `"return"`, or what `language_target` gives.
        estimators: names in `influence.LANGUAGE_ESTIMATORS`.
        subsets: how many subsets to remove, at least 3.
        orders: minibatch orders that each is replayed in; at least 2 for a noise ceiling.
        fraction: share of the records that a subset has, above 0 and below 1.
        executor: `processes`, `inline` or `ray`; `processes` needs a main module that can be imported again.
        workers: processes at a time; by default one a core.
        report: told the replays that are done, of how many; raise from it to cancel.

    Returns:
        The LDS of each estimator beside the noise ceiling, kept for `attribution.trust.read_validation`, too.

    Raises:
        BadInputError: bad settings, unknown estimator or target, or a target whose gradient is zero. Nothing was replayed.
        EngineError: a worker died; what was finished is kept.
    """
    start = time.monotonic()
    check_executor(executor, workers)
    chosen = language_target(snapshot, target) if isinstance(target, str) else target
    check_measurement(estimators, LANGUAGE_ESTIMATORS, subsets, orders)
    removed = sequence_removals(snapshot, fraction, subsets)
    scores = {name: sequence_influence(snapshot, chosen, name).influence for name in estimators}
    null = null_control(snapshot, replay_language)
    (values,) = replays(
        snapshot,
        [chosen],
        with_nothing_removed(removed),
        orders,
        run=run_language_replays,
        executor=executor,
        workers=workers,
        report=report,
    )
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round])
    smooth = smoothness(snapshot, rng, replay_language)
    return summarize(
        snapshot,
        chosen,
        scores,
        removed,
        values,
        rng,
        design="random",
        fraction=fraction,
        null=null,
        fingerprint_equal=same_language_machine(snapshot.fingerprint),
        metasmoothness=smooth,
        start=start,
    )


def run_language_replays(task: Task) -> NDArray[np.float64]:
    """(replays, targets) values of f(theta(k+1))."""
    one_thread()
    values = np.empty((len(task.replays), len(task.targets)))
    for row, each in zip(values, task.replays, strict=True):
        policy = replay_language(task.snapshot, np.flatnonzero(each.removed), order=each.order).policy
        with torch.no_grad():
            row[:] = [float(target.value(policy)) for target in task.targets]
    return values


def sequence_removals(snapshot: LanguageSnapshot, fraction: float, m: int) -> NDArray[np.bool_]:
    """(m, n) random subsets of the sequences that the round's update used; of a GRPO round the same share of each group.

    Raises:
        BadInputError: as `replays.subsets`, or a group is too small for the fraction.
    """
    if snapshot.language.algorithm != "grpo":
        return random_removals(snapshot, fraction, m)
    buffer = snapshot.buffer
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round, VALIDATION_SEED])
    removed = np.zeros((m, len(buffer)), bool)
    for number in np.unique(buffer.group[buffer.kept]):
        members = np.flatnonzero((buffer.group == number) & buffer.kept)
        count = removed_count(len(members), fraction) if len(members) > 1 else 0
        for row in removed:
            row[rng.permutation(members)[:count]] = True
    if not removed.any():
        raise BadInputError("no group has two responses that the update used, so none can be removed")
    return removed


def finished_language_replays(
    snapshot: LanguageSnapshot, target: TokenTarget, subsets: int, orders: int, fraction: float
) -> tuple[int, int]:
    """How many replays of a validation with these settings are kept, and how many it takes."""
    removed = with_nothing_removed(sequence_removals(snapshot, fraction, subsets))
    return finished_replays(snapshot, target, removed, orders)


def estimate_language_seconds(
    snapshot: LanguageSnapshot,
    subsets: int = SUBSETS,
    orders: int = ORDERS,
    workers: int | None = None,
    one: float | None = None,
) -> float:
    """Seconds that `validate_language` would take with nothing kept from earlier; `one` is what a replay takes, if known."""
    one = replay_seconds(snapshot, replay_language) if one is None else one
    return replaying_seconds(one, (subsets + 1) * orders, workers)

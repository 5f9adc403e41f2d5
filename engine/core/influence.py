"""The front door of attribution: compute influence once, then answer from the run's cache."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import one_thread
from engine.core.chosen_targets import chosen_target
from engine.core.estimators.averaged_over_orders import OnProgress, attribute, check_request
from engine.core.estimators.registry import DEFAULT_ESTIMATOR, ESTIMATORS, first_order
from engine.core.gradients.attribution import Attribution
from engine.core.kind import kind_of
from engine.core.policy import with_gradients
from engine.core.scores import Scores, attribution_from, attribution_table, expected_said
from engine.core.targets.functions import LogProbTarget, Target, name_of
from engine.core.targets.of_records import ActionTarget
from engine.core.targets.question import Question, TargetName, averaged_name
from engine.errors import BadInputError, ZeroGradientError
from engine.executors import INLINE, Pool
from engine.store.derived import load_table, save_table
from engine.store.snapshot import Float32s, Snapshot
from engine.typed import whole


@with_gradients
def influence(
    snapshot: Snapshot,
    target: Target | TargetName | Question | str | None = None,
    estimator: str = DEFAULT_ESTIMATOR,
    *,
    orders: int = 1,
    by_layer: bool = False,
    on_step: OnProgress | None = None,
    cache: bool = True,
    refresh: bool = False,
    pool: Pool = INLINE,
) -> Scores:
    """Influence of every record of a round on a target.

    >>> import engine
    >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
    >>> scores = engine.influence(snapshot, "return")
    >>> worst_first = scores.influence.argsort()
    >>> bool(scores.influence[worst_first[0]] < 0)
    True

    Args:
        snapshot: round k, of any kind of run.
        target: a name such as `"return"` (language models: also `"sequence"`) or a `TargetName`, or a target such as
            `engine.action_target(snapshot, record=17)`; None for the kind's own: return, or sequence. Or the whole
            question, a `Question`, which then says the estimator, the orders and the layers.
        estimator: a name in `registry.ESTIMATORS`.
        orders: minibatch orders to average over; 1 is the recorded one.
            `averaged_over_orders.influence_seconds` says how long it takes.
        by_layer: split the scores by layer of the policy, too; that takes longer.
        on_step: called with (steps done, steps in all) as the work goes on; raise from it to cancel. Not called where the
            scores come from the cache.
        cache: read from and write to the run's `derived/`. A round that is not committed is never cached, and neither is
            `first_order` on an action, where the round's gradients in memory answer as quickly as a file.
        refresh: compute in any case, and replace what is cached.
        pool: where `replay_regression` makes its replays; the scores are the same. By default in this process.

    Returns:
        Scores: I > 0 means that the record raised the target, I < 0 that it lowered it; 0 for records that the update went
        without.

    Raises:
        BadInputError: unknown target or estimator, no orders, or a target whose gradient is zero.
    """
    kept = CachedScores.of(snapshot, target, estimator, orders, by_layer)
    found = None if refresh or not cache else kept.read()
    if found is None:
        found = attribute(snapshot, kept.target, kept.estimator, kept.orders, on_step, kept.by_layer, pool)
        if cache:
            kept.keep(found)
    return kept.scores(found)


def read_influence(
    snapshot: Snapshot,
    target: Target | TargetName | Question | str | None = None,
    estimator: str = DEFAULT_ESTIMATOR,
    *,
    orders: int = 1,
    by_layer: bool = False,
) -> Scores | None:
    """What `influence` would answer at once: from the run's cache, or from the round's gradients; None if it would not.

    Args and errors are those of `influence`, but for the target whose gradient is zero: None.
    """
    kept = CachedScores.of(snapshot, target, estimator, orders, by_layer)
    if kept.by_layer or not kept.is_quick:
        found = kept.read()
        return None if found is None else kept.scores(found)
    with suppress(ZeroGradientError):
        return influence(snapshot, kept.target, kept.estimator)
    return None


@dataclass(frozen=True)
class CachedScores:
    """The scores of one question about a round, as the run's cache has them."""

    snapshot: Snapshot
    target: Target
    estimator: str
    orders: int
    by_layer: bool

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        target: Target | TargetName | Question | str | None,
        estimator: str,
        orders: int,
        by_layer: bool,
    ) -> CachedScores:
        """Of a target by name or of a `Question`, too.

        Raises:
            BadInputError: as `chosen_targets.chosen_target` and `averaged_over_orders.check_request`; or the estimator,
                orders or layers are said beside a question, which says them.
        """
        if isinstance(target, Question):
            asked = target.alone(beside=(estimator, orders, by_layer) != (DEFAULT_ESTIMATOR, 1, False))
            estimator, orders, by_layer = asked.estimator, asked.orders, asked.by_layer
        chosen = chosen_target(snapshot, target)
        check_request(estimator, orders)
        return cls(snapshot, chosen, estimator, whole(orders, "orders"), by_layer)

    @cached_property
    def question(self) -> str:
        """What tells it from others, as JSON: split by layer or not, the scores are the same."""
        question = {
            "version": ESTIMATORS[self.estimator].version,
            "round": self.snapshot.round,
            "target": self.target.describe(),
            "estimator": self.estimator,
            "orders": self.orders,
            "snapshot": self.snapshot.hash,
        }
        return json.dumps(question, sort_keys=True)

    @property
    def is_quick(self) -> bool:
        """Whether the round's gradients answer as quickly as a file: then a click on a record need not leave one behind."""
        if self.estimator != DEFAULT_ESTIMATOR or self.orders > 1 or self.target.name != "action":
            return False
        return isinstance(self.target, LogProbTarget) and kind_of(self.snapshot).keeps_gradients(self.snapshot)

    @property
    def path(self) -> Path | None:
        """The run whose cache it is; None if it is in none."""
        return None if self.is_quick or not self.snapshot.hash else self.snapshot.path

    @property
    def key(self) -> str:
        """Name in the cache."""
        return hashlib.sha256(self.question.encode()).hexdigest()

    @property
    def _start(self) -> NDArray[np.int64] | None:
        """Where each record's tokens begin, where it has some."""
        return getattr(self.snapshot.buffer, "start", None)

    def read(self) -> Attribution | None:
        """What is kept, if it says all that is asked for; the first scores that were kept had no terms."""
        table = None if self.path is None else load_table(self.path, self.key)
        found = (
            None if table is None or len(table) != len(self.snapshot.buffer) else attribution_from(table, self._start)
        )
        return found if found is not None and (found.layers or not self.by_layer) else None

    def keep(self, found: Attribution) -> None:
        """Put them there, where there is a run to keep them in."""
        if self.path is not None:
            called = name_of(self.target)
            said = {"influence": self.question, "target": "" if called is None else called.sentence()}
            said |= {name: json.dumps(value) for name, value in expected_said(found.expected).items()}
            save_table(self.path, self.key, attribution_table(found, self._start), said)

    def scores(self, found: Attribution) -> Scores:
        """With where they came from."""
        origin = self.snapshot.round, self.target.describe(), self.estimator, self.orders, self.snapshot.hash
        no_signal = kind_of(self.snapshot).no_signal(self.snapshot)
        parts = found.terms, found.layers, found.tokens
        return Scores(found.influence, *origin, *parts, no_signal, self._start, found.expected)


@with_gradients
def influence_on_each(snapshot: Snapshot, target: LogProbTarget | TargetName | Question | str) -> Float32s:
    """`first_order` influence on many action targets at once.

    >>> import engine
    >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
    >>> everyone = engine.action_target(snapshot, record=snapshot.buffer.record)
    >>> matrix = engine.influence_on_each(snapshot, everyone)  # every record's influence on every record's action
    >>> matrix.shape
    (2048, 2048)

    Args:
        snapshot: round k.
        target: m pairs of state and action, each of which is a target of its own here; by name, too.

    Returns:
        (m, n): in row j the influence of the n records on log pi(a_j|s_j); 0 where its gradient is zero.

    Raises:
        BadInputError: as `influence`, it is not made of states and actions, or it asks for something else than `first_order`.
    """
    one_thread()
    if isinstance(target, Question) and (target.estimator, target.orders) != (DEFAULT_ESTIMATOR, 1):
        asked = averaged_name(target.estimator, target.orders)
        raise BadInputError(f"influence on each target is {DEFAULT_ESTIMATOR} alone, and the question asks for {asked}")
    chosen = chosen_target(snapshot, target)
    gradients = kind_of(snapshot).kept_gradients(snapshot)
    if gradients is not None and isinstance(chosen, LogProbTarget):
        return gradients.influence_on_each(chosen)
    if not isinstance(chosen, ActionTarget):
        raise BadInputError(
            f"this {chosen.name} target is not made of single states and actions; name an action target of records"
        )
    matrix = np.zeros((len(chosen.action), len(snapshot.buffer)), np.float32)
    for row, one in zip(matrix, chosen.each, strict=True):
        with suppress(ZeroGradientError):
            row[:] = first_order(snapshot, one)
    return matrix

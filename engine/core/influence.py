"""The front door of attribution: compute influence once, then answer from the run's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.backends import Term
from engine.core.checkpoint import one_thread
from engine.core.derivatives import TERMS
from engine.core.estimators import DEFAULT_ESTIMATOR, Attribution, first_order
from engine.core.orders import OnProgress, attribute, check_request
from engine.core.targets import ActionTarget, Target, name_of, return_target
from engine.errors import BadInputError, ZeroGradientError
from engine.kinds.control.round_gradients import has_gradients, round_gradients
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.snapshot import Float32s, Snapshot

CACHE_VERSIONS = {"first_order": 2, "replay_gradient": 2, "replay_regression": 2}
"""Part of every cache key, 1 for estimators that are not named; raise it whenever an estimator's numbers change."""

LAYER_COLUMN = "layer "
"""What the names of a table's columns by layer begin with."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Influence of every record of one round, and where the numbers came from."""

    influence: Float32s
    """(n,) by record number; positive raised the target, negative lowered it."""
    round: int
    target: dict[str, Any]
    """The target's description."""
    estimator: str
    orders: int
    """Minibatch orders averaged over; 1 is the recorded one."""
    snapshot_hash: str
    """Commit that they were computed from; empty for a round that is not committed."""
    terms: Mapping[Term, Float32s]
    """(n,) each: the `actor`, `critic` and `entropy` terms that add up to the influence."""
    layers: Mapping[str, Float32s] = field(default_factory=dict)
    """(n,) each: what moving each layer of the policy has of it; they add up as well. Empty where nobody asked."""


def influence(
    snapshot: Snapshot,
    target: Target | str = "return",
    estimator: str = DEFAULT_ESTIMATOR,
    *,
    orders: int = 1,
    by_layer: bool = False,
    on_step: OnProgress | None = None,
    cache: bool = True,
    refresh: bool = False,
) -> Scores:
    """Influence of every record of a round on a target.

    >>> import engine
    >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
    >>> scores = engine.influence(snapshot, "return")
    >>> worst_first = scores.influence.argsort()
    >>> bool(scores.influence[worst_first[0]] < 0)
    True

    Args:
        snapshot: round k.
        target: `"return"`, or a target such as `engine.action_target(snapshot, record=17)`.
        estimator: a name in `estimators.ESTIMATORS`.
        orders: minibatch orders to average over; 1 is the recorded one. `orders.estimate_seconds` says how long it takes.
        by_layer: split the scores by layer of the policy, too; that takes longer.
        on_step: called with (steps done, steps in all) as the work goes on; raise from it to cancel. Not called where the
            scores come from the cache.
        cache: read from and write to the run's `derived/`. A round that is not committed is never cached, and neither is
            `first_order` on an action, where the round's gradients in memory answer as quickly as a file.
        refresh: compute in any case, and replace what is cached.

    Returns:
        Scores: I > 0 means that the record raised the target, I < 0 that it lowered it.

    Raises:
        BadInputError: unknown target or estimator, no orders, or a target whose gradient is zero.
    """
    check_request(estimator, orders)
    place = _Place.of(snapshot, target, estimator, orders)
    found = None if refresh or not cache else place.read(by_layer)
    if found is None:
        found = place.scores(attribute(snapshot, place.target, estimator, orders, on_step, by_layer))
        if cache:
            place.keep(found)
    return found


def read_influence(
    snapshot: Snapshot,
    target: Target | str = "return",
    estimator: str = DEFAULT_ESTIMATOR,
    *,
    orders: int = 1,
    by_layer: bool = False,
) -> Scores | None:
    """What `influence` would answer at once: from the run's cache, or from the round's gradients; None if it would not.

    Args and errors are those of `influence`, but for the target whose gradient is zero: None.
    """
    check_request(estimator, orders)
    place = _Place.of(snapshot, target, estimator, orders)
    if by_layer or not place.is_quick:
        return place.read(by_layer)
    with suppress(ZeroGradientError):
        return influence(snapshot, target, estimator)
    return None


@dataclass(frozen=True)
class _Place:
    """Where the scores of one question are kept."""

    snapshot: Snapshot
    target: Target
    estimator: str
    orders: int
    about: str
    """The question as JSON."""

    @classmethod
    def of(cls, snapshot: Snapshot, target: Target | str, estimator: str, orders: int) -> _Place:
        if isinstance(target, str):
            if target != "return":
                raise BadInputError(
                    f"unknown target {target!r}; it must be 'return', or an action target with a record or an observation"
                )
            target = return_target(snapshot)
        about = {
            "version": CACHE_VERSIONS.get(estimator, 1),
            "round": snapshot.round,
            "target": target.describe(),
            "estimator": estimator,
            "orders": orders,
            "snapshot": snapshot.hash,
        }
        return cls(snapshot, target, estimator, orders, json.dumps(about, sort_keys=True))

    @property
    def is_quick(self) -> bool:
        """Whether the round's gradients answer as quickly as a file: then a click on a record need not leave one behind."""
        quick = self.estimator == "first_order" and self.orders == 1 and isinstance(self.target, ActionTarget)
        return quick and has_gradients(self.snapshot)

    @property
    def path(self) -> Path | None:
        """The run whose cache it is; None if it is in none."""
        return None if self.is_quick or not self.snapshot.hash else self.snapshot.path

    @property
    def key(self) -> str:
        return hashlib.sha256(self.about.encode()).hexdigest()

    def read(self, by_layer: bool = False) -> Scores | None:
        """What is kept, if it says all that is asked for; the first scores that were kept had no terms."""
        table = None if self.path is None else load_table(self.path, self.key)
        found = None if table is None or len(table) != len(self.snapshot.buffer) else _from_table(table)
        return self.scores(found) if found is not None and (found.layers or not by_layer) else None

    def keep(self, found: Scores) -> None:
        if self.path is not None:
            called = name_of(self.target)
            about = {"influence": self.about, "target": "" if called is None else called.sentence()}
            save_table(self.path, self.key, scores_table(found), about)

    def scores(self, found: Attribution) -> Scores:
        about = self.snapshot.round, self.target.describe(), self.estimator, self.orders, self.snapshot.hash
        return Scores(found.influence, *about, found.terms, found.layers)


def influence_on_each(snapshot: Snapshot, target: ActionTarget) -> Float32s:
    """`first_order` influence on many action targets at once.

    >>> import engine
    >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
    >>> everyone = engine.action_target(snapshot, record=snapshot.buffer.record)
    >>> matrix = engine.influence_on_each(snapshot, everyone)  # every record's influence on every record's action
    >>> matrix.shape
    (2048, 2048)

    Args:
        snapshot: round k.
        target: m pairs of state and action, each of which is a target of its own here.

    Returns:
        (m, n): in row j the influence of the n records on log pi(a_j|s_j); 0 where its gradient is zero.
    """
    one_thread()
    gradients = round_gradients(snapshot)
    if gradients is not None:
        return gradients.influence_on_each(target)
    matrix = np.zeros((len(target.action), len(snapshot.buffer)), np.float32)
    for row, observation, action in zip(matrix, target.observation, target.action, strict=True):
        with suppress(ZeroGradientError):
            row[:] = first_order(snapshot, ActionTarget(observation[None], action[None]))
    return matrix


def scores_table(scores: Scores) -> pa.Table:
    """Columns `record` int32 and `influence`, `actor`, `critic`, `entropy` float32; `layer <name>`, where they are split so."""
    columns: dict[str, Any] = {
        "record": np.arange(len(scores.influence), dtype=np.int32),
        "influence": scores.influence,
    }
    columns |= {str(term): part for term, part in scores.terms.items()}
    columns |= {f"{LAYER_COLUMN}{name}": part for name, part in scores.layers.items()}
    return pa.table(columns)


def _from_table(table: pa.Table) -> Attribution | None:
    """What `scores_table` was made of; None if it was something else."""
    layers = [name for name in table.column_names if name.startswith(LAYER_COLUMN)]
    columns = kept_columns(table, dict.fromkeys(("influence", *TERMS, *layers), pa.float32()))
    if columns is None:
        return None
    by_layer = {name.removeprefix(LAYER_COLUMN): columns[name] for name in layers}
    return Attribution(columns["influence"], {term: columns[term] for term in TERMS}, by_layer)

"""The front door of attribution: compute influence once, then answer from the run's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.attribution import TERMS, Attribution, Term
from engine.core.checkpoint import one_thread
from engine.core.estimators import DEFAULT_ESTIMATOR, ESTIMATORS, first_order
from engine.core.kind import kind_of, named_target
from engine.core.orders import OnProgress, attribute, check_request
from engine.core.targets import LogProbTarget, Target, name_of
from engine.errors import ZeroGradientError
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.snapshot import Float32s, Snapshot

LAYER_COLUMN = "layer "
"""What the names of a table's columns by layer begin with."""
TOKENS_COLUMN = "token_influence"


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
    token_influence: Float32s | None = None
    """(N,) by token of records that are sequences, as the buffer's token columns; a record's sum up to its influence. None
    where records have no tokens, or the estimator does not tell them apart."""
    no_signal: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """(n,) records from which nothing was learned; their influence is 0 and has no rank. GRPO: all rewards of the group are
    equal."""


def influence(
    snapshot: Snapshot,
    target: Target | str | None = None,
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
        snapshot: round k, of any kind of run.
        target: a name such as `"return"` (language models: also `"sequence"`), or a target such as
            `engine.action_target(snapshot, record=17)`; None for the kind's own: return, or sequence.
        estimator: a name in `estimators.ESTIMATORS`.
        orders: minibatch orders to average over; 1 is the recorded one. `orders.estimate_seconds` says how long it takes.
        by_layer: split the scores by layer of the policy, too; that takes longer.
        on_step: called with (steps done, steps in all) as the work goes on; raise from it to cancel. Not called where the
            scores come from the cache.
        cache: read from and write to the run's `derived/`. A round that is not committed is never cached, and neither is
            `first_order` on an action, where the round's gradients in memory answer as quickly as a file.
        refresh: compute in any case, and replace what is cached.

    Returns:
        Scores: I > 0 means that the record raised the target, I < 0 that it lowered it; 0 for records that the update went
        without.

    Raises:
        BadInputError: unknown target or estimator, no orders, or a target whose gradient is zero.
    """
    check_request(estimator, orders)
    question = CachedScores.of(snapshot, target, estimator, orders)
    found = None if refresh or not cache else question.read(by_layer)
    if found is None:
        found = attribute(snapshot, question.target, estimator, orders, on_step, by_layer)
        if cache:
            question.keep(found)
    return question.scores(found)


def read_influence(
    snapshot: Snapshot,
    target: Target | str | None = None,
    estimator: str = DEFAULT_ESTIMATOR,
    *,
    orders: int = 1,
    by_layer: bool = False,
) -> Scores | None:
    """What `influence` would answer at once: from the run's cache, or from the round's gradients; None if it would not.

    Args and errors are those of `influence`, but for the target whose gradient is zero: None.
    """
    check_request(estimator, orders)
    question = CachedScores.of(snapshot, target, estimator, orders)
    if by_layer or not question.is_quick:
        found = question.read(by_layer)
        return None if found is None else question.scores(found)
    with suppress(ZeroGradientError):
        return influence(snapshot, question.target, estimator)
    return None


@dataclass(frozen=True)
class CachedScores:
    """The scores of one question, as the run's cache has them."""

    snapshot: Snapshot
    target: Target
    estimator: str
    orders: int

    @classmethod
    def of(cls, snapshot: Snapshot, target: Target | str | None, estimator: str, orders: int) -> CachedScores:
        """Of a target by name, too; errors as `kind.named_target`."""
        chosen = named_target(snapshot, target) if target is None or isinstance(target, str) else target
        return cls(snapshot, chosen, estimator, orders)

    @cached_property
    def about(self) -> str:
        """The question as JSON."""
        about = {
            "version": ESTIMATORS[self.estimator].version,
            "round": self.snapshot.round,
            "target": self.target.describe(),
            "estimator": self.estimator,
            "orders": self.orders,
            "snapshot": self.snapshot.hash,
        }
        return json.dumps(about, sort_keys=True)

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
        return hashlib.sha256(self.about.encode()).hexdigest()

    def read(self, by_layer: bool = False) -> Attribution | None:
        """What is kept, if it says all that is asked for; the first scores that were kept had no terms."""
        table = None if self.path is None else load_table(self.path, self.key)
        found = None if table is None or len(table) != len(self.snapshot.buffer) else _from_table(table, self.snapshot)
        return found if found is not None and (found.layers or not by_layer) else None

    def keep(self, found: Attribution) -> None:
        """Put them there, where there is a run to keep them in."""
        if self.path is not None:
            called = name_of(self.target)
            about = {"influence": self.about, "target": "" if called is None else called.sentence()}
            save_table(self.path, self.key, _table(self.snapshot, found), about)

    def scores(self, found: Attribution) -> Scores:
        """With where they came from."""
        about = self.snapshot.round, self.target.describe(), self.estimator, self.orders, self.snapshot.hash
        silent = kind_of(self.snapshot).silent(self.snapshot)
        return Scores(found.influence, *about, found.terms, found.layers, found.tokens, silent)


def influence_on_each(snapshot: Snapshot, target: LogProbTarget) -> Float32s:
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
    kind = kind_of(snapshot)
    gradients = kind.kept_gradients(snapshot)
    if gradients is not None:
        return gradients.influence_on_each(target)
    matrix = np.zeros((len(target.action), len(snapshot.buffer)), np.float32)
    for row, one in zip(matrix, kind.single_targets(target), strict=True):
        with suppress(ZeroGradientError):
            row[:] = first_order(snapshot, one)
    return matrix


def _table(snapshot: Snapshot, found: Attribution) -> pa.Table:
    """What `_from_table` reads: the columns of `scores_table`, but for the last."""
    columns: dict[str, Any] = {"record": snapshot.buffer.record, "influence": found.influence}
    columns |= {str(term): part for term, part in found.terms.items()}
    columns |= {f"{LAYER_COLUMN}{name}": part for name, part in found.layers.items()}
    if found.tokens is not None:
        columns[TOKENS_COLUMN] = pa.ListArray.from_arrays(snapshot.buffer.start.astype(np.int32), found.tokens)
    return pa.table(columns)


def scores_table(snapshot: Snapshot, scores: Scores) -> pa.Table:
    """Columns `record` int32 and `influence`, `actor`, `critic`, `entropy` float32; `layer <name>`, where they are split so.

    Of sequences also `no_signal`, and `token_influence`, a list with a number a token, where it is known.
    """
    found = Attribution(scores.influence, scores.terms, scores.layers, scores.token_influence)
    table = _table(snapshot, found)
    return table.append_column("no_signal", pa.array(scores.no_signal)) if scores.no_signal.any() else table


def _from_table(table: pa.Table, snapshot: Snapshot) -> Attribution | None:
    """What `_table` was made of; None if it was something else."""
    layers = [name for name in table.column_names if name.startswith(LAYER_COLUMN)]
    columns = kept_columns(table, dict.fromkeys(("influence", *TERMS, *layers), pa.float32()))
    if columns is None:
        return None
    tokens = None
    if TOKENS_COLUMN in table.column_names:
        tokens = _kept_tokens(table, snapshot)
        if tokens is None:
            return None
    by_layer = {name.removeprefix(LAYER_COLUMN): columns[name] for name in layers}
    terms: dict[Term, Float32s] = {term: columns[term] for term in TERMS}
    return Attribution(columns["influence"], terms, by_layer, tokens)


def _kept_tokens(table: pa.Table, snapshot: Snapshot) -> Float32s | None:
    """(N,) by token; None where the lists are not as long as the round's records."""
    start = getattr(snapshot.buffer, "start", None)
    column = table[TOKENS_COLUMN].combine_chunks()
    if start is None or column.type != pa.list_(pa.float32()) or column.null_count:
        return None
    flat = column.flatten()
    same = np.array_equal(np.cumsum(column.value_lengths().to_numpy()), start[1:])
    return flat.to_numpy().copy() if same and not flat.null_count else None

"""The scores of a round of any kind: where they came from, what ranks highest, and as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.gradients.attribution import TERMS, Attribution, Term, top_and_bottom
from engine.errors import BadInputError, DamagedRunError
from engine.intervals import Interval
from engine.store.derived import kept_columns
from engine.store.snapshot import Float32s
from engine.store.strict_json import parse_json_as
from engine.store.words import brief, counted
from engine.typed import Correlation, whole

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
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
    """(n,) each: the share from moving each layer of the policy; they add up as well. Empty where it was not asked for."""
    token_influence: Float32s | None = None
    """(N,) by token of records that are sequences, as the buffer's token columns; a record's sum up to its influence. None
    where records have no tokens, or the estimator does not tell them apart."""
    no_signal: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """(n,) records from which nothing was learned; their influence is 0 and has no rank. GRPO: all rewards of the group are
    equal."""
    token_start: NDArray[np.int64] | None = None
    """(n + 1,) record i has the tokens token_start[i] to token_start[i + 1] - 1."""
    expected: Interval | None = None
    """The LDS that a check of them is expected to find, where the estimator foretells it (`foretold`)."""

    def __len__(self) -> int:
        return len(self.influence)

    def __repr__(self) -> str:
        low, high = self.influence.min(initial=0), self.influence.max(initial=0)
        how = brief(self.estimator) + (f" over {self.orders} orders" if self.orders > 1 else "")
        what = f"influence on the {brief(self.target['target'])} by {how}, {low:.3g} to {high:.3g}"
        return f"{type(self).__name__}(round {self.round}, {counted(len(self), 'record')}: {what})"

    def top(self, k: int) -> NDArray[np.int64]:
        """Numbers of the k records that raised the target most, the most first; fewer where fewer raised it.

        >>> import engine
        >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
        >>> scores = engine.influence(snapshot, "return")
        >>> best = scores.top(10)
        >>> len(best), bool(best[0] == scores.influence.argmax())
        (10, True)

        Raises:
            BadInputError: k is negative, or no integer.
        """
        return self._ends(k)[0]

    def bottom(self, k: int) -> NDArray[np.int64]:
        """Numbers of the k records that lowered the target most, the most first; fewer where fewer lowered it.

        >>> import engine
        >>> snapshot = engine.open_run("sample_runs/FrozenLake-v1").snapshot(3)
        >>> scores = engine.influence(snapshot, "return")
        >>> without = engine.replay(snapshot, drop=scores.bottom(100))

        Raises:
            BadInputError: k is negative, or no integer.
        """
        return self._ends(k)[1]

    def to_arrow(self) -> pa.Table:
        """A table with a row a record: `record`, `influence` and their parts.

        >>> import engine
        >>> scores = engine.influence(engine.open_run("sample_runs/FrozenLake-v1").snapshot(3), "return")
        >>> scores.to_arrow().column_names
        ['record', 'influence', 'actor', 'critic', 'entropy']

        The schema's metadata says under `influence` where the numbers came from, as in the files that the command
        `influence` writes: JSON with the round, the target, the estimator, the orders and the commit.
        """
        return self._table().replace_schema_metadata({"influence": json.dumps(self._origin())})

    def to_pandas(self) -> pd.DataFrame:
        """The table of `to_arrow`; its `attrs` say where the numbers came from.

        >>> import engine
        >>> scores = engine.influence(engine.open_run("sample_runs/FrozenLake-v1").snapshot(3), "return")
        >>> frame = scores.to_pandas()
        >>> frame.attrs["estimator"], list(frame.columns[:2])
        ('first_order', ['record', 'influence'])

        Raises:
            BadInputError: pandas is not installed.
        """
        try:
            import_module("pandas")
        except ImportError:
            raise BadInputError("pandas is not installed; pip install pandas, or take to_arrow()") from None
        frame: pd.DataFrame = self._table().to_pandas()
        frame.attrs.update(self._origin())
        return frame

    def _table(self) -> pa.Table:
        parts = Attribution(self.influence, self.terms, self.layers, self.token_influence)
        table = attribution_table(parts, self.token_start)
        return table.append_column("no_signal", pa.array(self.no_signal)) if self.no_signal.any() else table

    def _ends(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if whole(k, "the number of records") < 0:
            raise BadInputError(f"{k} records were asked for; the number must be 0 or more")
        return top_and_bottom(self.influence, k)

    def _origin(self) -> dict[str, Any]:
        return {
            "round": self.round,
            **self.target,
            "estimator": self.estimator,
            "orders": self.orders,
            "commit": self.snapshot_hash,
            **expected_said(self.expected),
        }


LAYER_COLUMN = "layer "
"""What the names of a table's columns by layer begin with."""
TOKENS_COLUMN = "token_influence"
EXPECTED_LDS = "expected_lds"


def attribution_table(found: Attribution, token_start: NDArray[np.int64] | None = None) -> pa.Table:
    """Columns `record` int32 and `influence`, `actor`, `critic`, `entropy` float32, and what else is known.

    `layer <name>`, where they are split so, and `token_influence`, a list with a number a token.
    """
    columns: dict[str, Any] = {
        "record": np.arange(len(found.influence), dtype=np.int32),
        "influence": found.influence,
    }
    columns |= {str(term): part for term, part in found.terms.items()}
    columns |= {f"{LAYER_COLUMN}{name}": part for name, part in found.layers.items()}
    if found.tokens is not None and token_start is not None:
        columns[TOKENS_COLUMN] = pa.ListArray.from_arrays(token_start.astype(np.int32), found.tokens)
    return pa.table(columns)


def attribution_from(table: pa.Table, token_start: NDArray[np.int64] | None = None) -> Attribution | None:
    """The inverse of `attribution_table`; None where it was something else."""
    layers = [name for name in table.column_names if name.startswith(LAYER_COLUMN)]
    columns = kept_columns(table, dict.fromkeys(("influence", *TERMS, *layers), pa.float32()))
    if columns is None:
        return None
    tokens = None
    if token_start is not None and TOKENS_COLUMN in table.column_names:
        tokens = _tokens(table, token_start)
        if tokens is None:
            return None
    by_layer = {name.removeprefix(LAYER_COLUMN): columns[name] for name in layers}
    terms: dict[Term, Float32s] = {term: columns[term] for term in TERMS}
    return Attribution(columns["influence"], terms, by_layer, tokens, _expected(table))


def expected_said(expected: Interval | None) -> dict[str, list[float]]:
    """As plain values, under the name that it is kept under; nothing where nothing was foretold."""
    return {} if expected is None else {EXPECTED_LDS: [float(each) for each in expected]}


def _expected(table: pa.Table) -> Interval | None:
    """What a kept table's metadata says of it; None where that makes no sense."""
    said = (table.schema.metadata or {}).get(EXPECTED_LDS.encode())
    with suppress(BadInputError, DamagedRunError):
        if said is not None:
            return Interval(*parse_json_as(tuple[Correlation, Correlation, Correlation], said, EXPECTED_LDS))
    return None


def _tokens(table: pa.Table, token_start: NDArray[np.int64]) -> Float32s | None:
    """(N,) by token; None where the lists are not as long as the round's records."""
    if table.column_names.count(TOKENS_COLUMN) > 1 or table[TOKENS_COLUMN].type != pa.list_(pa.float32()):
        return None
    column = table[TOKENS_COLUMN].combine_chunks()
    flat = column.flatten()
    if column.null_count or flat.null_count:
        return None
    same = np.array_equal(np.cumsum(column.value_lengths().to_numpy()), token_start[1:])
    return flat.to_numpy().copy() if same else None

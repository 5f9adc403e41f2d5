"""Which rounds of a run were measured, and on which targets: where one round can learn from another."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from engine.store.derived import kept_columns, load_table, update_table
from engine.store.snapshot import Snapshot

KEY = hashlib.sha256(b"measured rounds, version 1").hexdigest()
_KEPT: dict[str, pa.DataType] = {"round": pa.int64(), "commit": pa.string(), "target": pa.string()}
Row = tuple[int, str, str]
"""A round, its commit's hash, and the name of the target."""


def note_measured(snapshot: Snapshot, target: str) -> None:
    """Keep that there is a validation of a round, in the run's `derived/`."""
    if snapshot.path is None or not snapshot.hash:
        return

    def beside(kept: pa.Table | None) -> pa.Table:
        rows = dict.fromkeys([*_rows(kept), (snapshot.round, snapshot.hash, target)])
        columns = zip(*rows, strict=True)
        return pa.table({name: pa.array(column, _KEPT[name]) for name, column in zip(_KEPT, columns, strict=True)})

    update_table(snapshot.path, KEY, beside)


def measured_rounds(run: Path, target: str) -> list[tuple[int, str]]:
    """The rounds of a run of which there are validations on a target of that name, each with its commit's hash."""
    return [(round, commit) for round, commit, name in _rows(load_table(run, KEY)) if name == target]


def _rows(table: pa.Table | None) -> list[Row]:
    columns = None if table is None else kept_columns(table, _KEPT)
    return [] if columns is None else list(zip(*(columns[name].tolist() for name in _KEPT), strict=True))

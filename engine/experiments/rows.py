"""The rows of finished tasks in an experiment's folder: found, read, checked and put in order.

A task is in a file of its own, `tasks/*.parquet`, until all of them are merged into `results.parquet`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DamagedRunError
from engine.store.files import Files, inside
from engine.store.results_table import read_results_table

LARGEST = 1e150
"""Numbers beyond it have squares that are infinite; no experiment measures any."""


def task_files(folder: Path) -> list[Path]:
    """The files of single tasks in an experiment's folder, sorted; unfinished ones are hidden."""
    place = inside(folder, "tasks")
    with suppress(FileNotFoundError):
        return [place / name for name in Files().names(place) if name.endswith(".parquet") and name[0] != "."]
    return []


def read_rows(
    folder: Path, schema: pa.Schema, known: Mapping[str, Sequence[str]], rounds: range, nullable: Collection[str]
) -> pa.Table:
    """All rows of an experiment's finished tasks; a task that is in two files (a merge was cut short) counts once.

    Args:
        folder: the experiment's.
        schema: of the rows; it has `seed` and `round`.
        known: the columns that name a task beside its seed, with the names that there are.
        rounds: of every task.
        nullable: columns that may be null, or not a number.

    Returns:
        The rows, sorted by the columns of `known` in the order of their names, then by seed and round.

    Raises:
        DamagedRunError: a file is damaged, or a task does not have just these rounds; names the file or the folder.
    """
    parts = [schema.empty_table()]
    for path in (*task_files(folder), inside(folder, "results.parquet")):
        # A task's file that is gone by now was merged into results.parquet, which is read last.
        with suppress(FileNotFoundError):
            parts.append(_read(path, schema, known, nullable))
    table = pa.concat_tables(parts)
    columns = [[names.index(name) for name in table[column].to_pylist()] for column, names in known.items()]
    keys = zip(*columns, table["seed"].to_pylist(), table["round"].to_pylist(), strict=True)
    rows = {key: i for i, key in enumerate(keys)}
    tasks = {key[:-1] for key in rows}
    # Counted rather than listed: a definition may claim more rounds than fit into memory.
    if len(rows) != len(tasks) * len(rounds) or any(key[-1] not in rounds for key in rows):
        raise DamagedRunError(
            f"{folder} is damaged: a task in it does not have the rounds {rounds.start} to {rounds.stop - 1}"
        )
    return table.take(pa.array([rows[key] for key in sorted(rows)], pa.int64()))


def _read(path: Path, schema: pa.Schema, known: Mapping[str, Sequence[str]], nullable: Collection[str]) -> pa.Table:
    table, _ = read_results_table(path)
    if not table.schema.equals(schema):
        raise DamagedRunError(f"{path} is damaged: its columns are not {', '.join(schema.names)}")
    for column in schema:
        values = table[column.name]
        if values.null_count and column.name not in nullable:
            raise DamagedRunError(f"{path} is damaged: a row has no {column.name}")
        if pa.types.is_floating(column.type) and not _is_measured(values, column.name in nullable):
            raise DamagedRunError(f"{path} is damaged: its {column.name} is not a number that can be measured")
    for name, names in known.items():
        for found in pc.unique(table[name]).to_pylist():
            if found not in names:
                raise DamagedRunError(f"{path} is damaged: its {name} {found!r} is none of {', '.join(names)}")
    return table


def _is_measured(column: pa.ChunkedArray, may_be_nan: bool) -> bool:
    values = column.drop_null().to_numpy()
    return bool(np.all((np.abs(values) <= LARGEST) | (np.isnan(values) & may_be_nan)))

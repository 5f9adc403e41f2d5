"""Rounds of other trainers' runs as tables and back: a control task's, with columns of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import BadInputError, DamagedRunError
from engine.kinds.control.snapshot import ControlSnapshot
from engine.kinds.control.tables import ControlColumns
from engine.kinds.recorded.settings import RoundConfig
from engine.kinds.recorded.snapshot import RecordedBuffer, RecordedSnapshot
from engine.store.manifest import RunManifest
from engine.store.parquet import flat_values, from_values

EXTRA = "info/"
"""What the names of the columns begin with that the person who recorded asked for."""
_TYPES = {"bool": pa.bool_(), "int64": pa.int64(), "float64": pa.float64(), "float32": pa.float32()}


class RecordedColumns(ControlColumns):
    """`records`, with `valid` where steps are phantoms, and extra columns."""

    of_round = RecordedSnapshot

    def tables(self, snapshot: Any, manifest: RunManifest) -> dict[str, pa.Table]:
        """`records`."""
        buffer: RecordedBuffer = snapshot.buffer
        table = super().tables(snapshot, manifest)["records"]
        columns = {EXTRA + name: values for name, values in buffer.extra.items()}
        if buffer.valid is not None:
            columns["valid"] = buffer.valid
        for name, values in columns.items():
            kind = _TYPES.get(values.dtype.name)
            if kind is None or values.shape != (len(buffer),):
                raise BadInputError(
                    f"{name} is {values.dtype} {values.shape}; it must be a number or a truth value a record"
                )
            table = table.append_column(pa.field(name, kind, nullable=False), from_values(values, kind))
        return {"records": table}

    def buffer(self, manifest: RunManifest, tables: Sequence[pa.Table], names: Sequence[str]) -> RecordedBuffer:
        """The rollout buffer with its own columns."""
        (table,), (file,) = tables, names
        own = [name for name in table.column_names if name == "valid" or name.startswith(EXTRA)]
        plain = super().buffer(manifest, [table.drop_columns(own)], names)
        columns = {name: _values(table, name, file) for name in own}
        valid = columns.pop("valid", None)
        extra = {name.removeprefix(EXTRA): values for name, values in columns.items()}
        return RecordedBuffer(**vars(plain), valid=valid, extra=extra)

    def snapshot(
        self, manifest: RunManifest, buffers: Mapping[str, Any], file: str, common: Mapping[str, Any]
    ) -> ControlSnapshot:
        """The round, with the settings in force in it."""
        try:
            config = RoundConfig.of(manifest.config, common["in_force"].get("config", {}))
        except (TypeError, BadInputError) as error:
            raise DamagedRunError(f"the settings of round {common['round']} can't be understood: {error}") from None
        return super().snapshot(manifest, buffers, file, {**common, "config": config})


COLUMNS = RecordedColumns()


def _values(table: pa.Table, name: str, file: str) -> Any:
    kind = table.schema.field(name).type
    known = pa.bool_() if name == "valid" else next((each for each in _TYPES.values() if each == kind), None)
    if known is None or kind != known or table[name].null_count:
        raise DamagedRunError(f"{file} is damaged: column {name} is {kind}")
    return flat_values(table[name], np.dtype(known.to_pandas_dtype()))

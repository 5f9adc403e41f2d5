"""Buffers whose columns all have one value a record, as Arrow tables and back, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInputError, DamagedRunError
from engine.store.parquet import check_schema, columns_schema, flat_values, from_values

Element: TypeAlias = "tuple[Any, tuple[int, ...]]"
"""Type and shape of one record's value: `("float32", (2,))`, `("int64", ())`."""


def schema_of(columns: Mapping[str, Element]) -> pa.Schema:
    """The columns of a table of records: their numbers, then `columns` in order."""
    return columns_schema({"record": pa.int32()} | {name: _arrow(*element) for name, element in columns.items()})


def records_table(
    columns: Mapping[str, NDArray[Any]], elements: Mapping[str, Element], schema: pa.Schema | None = None
) -> pa.Table:
    """One row a record.

    Args:
        columns: name -> (n, *shape) values.
        elements: the type and shape that they must have.
        schema: of the table, where it is not `schema_of`.

    Raises:
        BadInputError: a column has another length, shape or type.
    """
    schema = schema_of(elements) if schema is None else schema
    n = len(columns[next(iter(elements))])
    arrays = [from_values(np.arange(n, dtype=np.int32), pa.int32())]
    for name, (dtype, shape) in elements.items():
        values, wanted = columns[name], (n, *shape)
        if values.dtype != np.dtype(dtype) or values.shape != wanted:
            raise BadInputError(f"{name} is {values.dtype} {values.shape}; this run's records need {dtype} {wanted}")
        arrays.append(from_values(values, schema.field(name).type))
    return pa.Table.from_arrays(arrays, schema=schema)


def columns_from(
    table: pa.Table, elements: Mapping[str, Element], file: str, schema: pa.Schema | None = None
) -> dict[str, NDArray[Any]]:
    """The inverse of `records_table`, without the records' numbers.

    Raises:
        DamagedRunError: a column is not of the exact type, or the record numbers are not 0 to n - 1.
    """
    check_schema(table, schema_of(elements) if schema is None else schema, file)
    if not np.array_equal(flat_values(table["record"], np.dtype(np.int32)), np.arange(table.num_rows)):
        raise DamagedRunError(f"{file} is damaged: column record is not 0 to {table.num_rows - 1}")
    return {
        name: flat_values(table[name], np.dtype(dtype)).reshape(table.num_rows, *shape)
        for name, (dtype, shape) in elements.items()
    }


def _arrow(dtype: Any, shape: tuple[int, ...]) -> pa.DataType:
    kind = pa.from_numpy_dtype(np.dtype(dtype))
    return pa.list_(pa.field("element", kind, nullable=False), math.prod(shape)) if shape else kind

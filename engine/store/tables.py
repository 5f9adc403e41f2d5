"""Checkpoints and minibatches, which every kind of run has, as Arrow tables and back, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInputError, DamagedRunError
from engine.store.parquet import check_schema, columns_schema, flat_values, from_values

MOST_DIMENSIONS = 32
"""Of a tensor."""
PART_BYTES = 16 * 2**20
"""A tensor on disk is split into parts of at most this size."""

_SIZES = {"bool": ("",), "int": (8, 16, 32, 64), "uint": (8, 16, 32, 64), "float": (16, 32, 64)}
_DTYPES = frozenset(f"{kind}{bits}" for kind, sizes in _SIZES.items() for bits in sizes)
_CHECKPOINT = columns_schema(
    {
        "name": pa.string(),
        "part": pa.int32(),
        "dtype": pa.string(),
        "shape": pa.list_(pa.field("element", pa.int64(), nullable=False)),
        "data": pa.binary(),
    }
)
_MINIBATCHES = columns_schema(dict.fromkeys(("epoch", "position", "record"), pa.int32()))


def checkpoint_table(tensors: Mapping[str, NDArray[Any]]) -> pa.Table:
    """Tensors as raw little-endian bytes, one row a part.

    Raises:
        BadInputError: a tensor does not hold numbers or truth values.
    """
    rows = []
    for name, given in tensors.items():
        tensor = np.asarray(given)
        if tensor.dtype.name not in _DTYPES:
            raise BadInputError(f"tensor {name} holds {tensor.dtype}; a checkpoint holds numbers and truth values")
        data = memoryview(tensor.astype(tensor.dtype.newbyteorder("<"), order="C", copy=False).tobytes())
        for part in range(max(1, math.ceil(len(data) / PART_BYTES))):
            piece = data[part * PART_BYTES : (part + 1) * PART_BYTES]
            rows.append((name, part, tensor.dtype.name, list(tensor.shape), piece))
    columns = zip(*rows, strict=True) if rows else ((),) * len(_CHECKPOINT)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _CHECKPOINT, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_CHECKPOINT)


def checkpoint_from(table: pa.Table, file: str) -> dict[str, NDArray[Any]]:
    """The inverse of `checkpoint_table`; the arrays are new and writable.

    Raises:
        DamagedRunError: a part is missing, or a tensor's bytes don't fill its shape.
    """
    check_schema(table, _CHECKPOINT, file)
    parts: dict[str, list[pa.Buffer]] = {}
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
    described: list[list[Any]] = [table[name].to_pylist() for name in ("name", "part", "dtype", "shape")]
    bytes_of = (value.as_buffer() for chunk in table["data"].chunks for value in chunk)
    for name, part, dtype, shape, data in zip(*described, bytes_of, strict=True):
        kind = kinds.setdefault(name, (dtype, tuple(shape)))
        if kind != (dtype, tuple(shape)) or part != len(parts.setdefault(name, [])) or dtype not in _DTYPES:
            raise DamagedRunError(f"{file} is damaged: part {part} of tensor {name} does not fit")
        parts[name].append(data)
    return {name: _joined(parts[name], *kinds[name], f"{file} is damaged: tensor {name}") for name in kinds}


def minibatches_table(minibatches: NDArray[np.int32], n: int) -> pa.Table:
    """The permutations of the update, epoch after epoch.

    Args:
        minibatches: (n_epochs, n) record numbers.
        n: records in the round.

    Raises:
        BadInputError: a row is not a permutation of 0 to n - 1.
    """
    if n < 1:
        raise BadInputError("a round needs at least one record")
    if minibatches.ndim != 2 or not _permutations(minibatches, n):
        raise BadInputError(f"each epoch's minibatches must hold every record from 0 to {n - 1} once")
    epochs = len(minibatches)
    epoch, position = np.arange(epochs, dtype=np.int32), np.arange(n, dtype=np.int32)
    columns = (np.repeat(epoch, n), np.tile(position, epochs), minibatches.astype(np.int32, copy=False).ravel())
    return pa.Table.from_arrays([from_values(column, pa.int32()) for column in columns], schema=_MINIBATCHES)


def minibatches_from(table: pa.Table, n: int, file: str) -> NDArray[np.int32]:
    """The inverse of `minibatches_table`, (n_epochs, n).

    Raises:
        DamagedRunError: the rows are not one permutation of 0 to n - 1 after another.
    """
    check_schema(table, _MINIBATCHES, file)
    epoch, position, record = (flat_values(table[name], np.dtype(np.int32)) for name in _MINIBATCHES.names)
    if n < 1 or table.num_rows % n:
        raise DamagedRunError(f"{file} is damaged: {table.num_rows} rows are not whole epochs of {n} records")
    epochs = table.num_rows // n
    for name, column, expected in (("epoch", epoch, np.arange(epochs)[:, None]), ("position", position, np.arange(n))):
        if not (column.reshape(epochs, n) == expected).all():
            raise DamagedRunError(f"{file} is damaged: column {name} does not count the epochs' records")
    minibatches = record.reshape(epochs, n)
    if not _permutations(minibatches, n):
        raise DamagedRunError(f"{file} is damaged: column record is not a permutation of 0 to {n - 1}")
    return minibatches


def _permutations(minibatches: NDArray[np.integer[Any]], n: int) -> bool:
    """Whether each row is a permutation of 0 to n - 1."""
    if minibatches.shape[1] != n or minibatches.dtype.kind not in "iu":
        return False
    if minibatches.size and (minibatches.min() < 0 or minibatches.max() >= n):
        return False
    return all((np.bincount(row, minlength=n) == 1).all() for row in minibatches)


def _joined(parts: list[pa.Buffer], dtype: str, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    kind = np.dtype(dtype).newbyteorder("<")
    expected = math.prod(shape) * kind.itemsize
    if len(shape) > MOST_DIMENSIONS or math.prod(max(size, 1) for size in shape) > 2**60:
        raise DamagedRunError(f"{what} has a shape that no array has")
    if any(size < 0 for size in shape) or sum(part.size for part in parts) != expected:
        raise DamagedRunError(f"{what} does not have the {expected} bytes that its shape needs")
    return np.frombuffer(bytearray().join(parts), kind).reshape(shape).astype(np.dtype(dtype), copy=False)

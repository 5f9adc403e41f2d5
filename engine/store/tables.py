"""Rollout buffers, checkpoints and minibatches as Arrow tables and back, bit for bit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.errors import BadInputError, DamagedRunError
from engine.spaces import Space
from engine.store.parquet import check_schema, columns_schema, flat_values, from_values
from engine.store.snapshot import RolloutBuffer

LARGEST_LIST = 64
"""Floats in an observation up to which it is a list of numbers on disk (SQL tools see them), not bytes."""
MOST_DIMENSIONS = 32
"""Of a tensor."""
PART_BYTES = 16 * 2**20
"""A tensor on disk is split into parts of at most this size."""

_SIZES = {"bool": ("",), "int": (8, 16, 32, 64), "uint": (8, 16, 32, 64), "float": (16, 32, 64)}
_DTYPES = frozenset(f"{kind}{bits}" for kind, sizes in _SIZES.items() for bits in sizes)
_COLUMNS: dict[str, Any] = {
    "record": pa.int32(),
    "env": pa.int16(),
    "t": pa.int32(),
    "episode": pa.int64(),
    "observation": None,
    "action": None,
    "reward": pa.float32(),
    "terminated": pa.bool_(),
    "truncated": pa.bool_(),
    "value": pa.float32(),
    "log_prob": pa.float32(),
    "advantage": pa.float32(),
    "return": pa.float32(),
    "kept": pa.bool_(),
    "critic_kept": pa.bool_(),
}
"""Columns of `records` in order; the spaces decide the type of None. The last is left out where it equals `kept`."""
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


def records_schema(observation_space: Space, action_space: Space, *, critic_kept: bool = False) -> pa.Schema:
    """The exact columns of a `records` file; its metadata names the spaces' shapes and element types."""
    types = _COLUMNS | {
        "observation": _observation_type(observation_space),
        "action": _numbers("float32", action_space) if action_space.kind == "box" else pa.int64(),
    }
    if not critic_kept:
        del types["critic_kept"]
    spaces = {"observation": observation_space, "action": action_space}
    metadata = {
        name: json.dumps({"kind": space.kind, "shape": list(space.shape), "dtype": space.dtype, "n": space.n})
        for name, space in spaces.items()
    }
    return columns_schema(types, metadata)


def records_table(buffer: RolloutBuffer, observation_space: Space, action_space: Space) -> pa.Table:
    """The records of a round, one row each.

    Raises:
        BadInputError: a column's length, shape or dtype is not what the spaces say.
    """
    apart = not np.array_equal(buffer.kept, buffer.critic_kept)
    schema = records_schema(observation_space, action_space, critic_kept=apart)
    columns = []
    for field in schema:
        values = getattr(buffer, "returns" if field.name == "return" else field.name)
        dtype, shape = _in_memory(field, observation_space, action_space)
        wanted = (len(buffer), *shape)
        if values.dtype != dtype or values.shape != wanted:
            raise BadInputError(
                f"{field.name} is {values.dtype} {values.shape}; this run's records need {dtype} {wanted}"
            )
        columns.append(from_values(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def buffer_from(table: pa.Table, observation_space: Space, action_space: Space, file: str) -> RolloutBuffer:
    """The inverse of `records_table`.

    Raises:
        DamagedRunError: a column is not of the exact type, a value is out of its space, or the record numbers are not 0 to
            n - 1.
    """
    schema = records_schema(observation_space, action_space, critic_kept="critic_kept" in table.column_names)
    check_schema(table, schema, file)
    columns = {}
    for field in schema:
        dtype, shape = _in_memory(field, observation_space, action_space)
        columns[field.name] = flat_values(table[field.name], dtype).reshape(table.num_rows, *shape)
    if not np.array_equal(columns.pop("record"), np.arange(table.num_rows)):
        raise DamagedRunError(f"{file} is damaged: column record is not 0 to {table.num_rows - 1}")
    columns.setdefault("critic_kept", columns["kept"])
    for name, space in (("observation", observation_space), ("action", action_space)):
        if space.kind == "discrete" and ((columns[name] < 0) | (columns[name] >= space.n)).any():
            raise DamagedRunError(f"{file} is damaged: column {name} is not within 0 to {space.n - 1}")
    return RolloutBuffer(returns=columns.pop("return"), **columns)


def check_steps(buffer: RolloutBuffer, config: TrainConfig, file: str) -> None:
    """Whether record number i is step i // n_envs of environment i % n_envs, for every step of the round.

    Raises:
        DamagedRunError: it is not.
    """
    if len(buffer) != config.records_per_round:
        raise DamagedRunError(
            f"{file} is damaged: it has {len(buffer)} records; {config.n_steps} steps of {config.n_envs} environments make "
            f"{config.records_per_round}"
        )
    t, env = np.divmod(np.arange(len(buffer)), config.n_envs)
    for name, column, expected in (("env", buffer.env, env), ("t", buffer.t, t)):
        if not np.array_equal(column, expected):
            raise DamagedRunError(f"{file} is damaged: column {name} does not go through the environments step by step")


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
    columns = (np.repeat(np.arange(epochs), n), np.tile(np.arange(n), epochs), minibatches.ravel())
    return pa.Table.from_arrays(
        [from_values(column.astype(np.int32), pa.int32()) for column in columns], schema=_MINIBATCHES
    )


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
    for name, column, expected in (
        ("epoch", epoch, np.repeat(np.arange(epochs), n)),
        ("position", position, np.tile(np.arange(n), epochs)),
    ):
        if not np.array_equal(column, expected):
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


def _observation_type(space: Space) -> pa.DataType:
    if space.kind == "discrete":
        return pa.int64()
    dtype = np.dtype(space.dtype)
    size = math.prod(space.shape)
    if dtype.kind == "f" and dtype.itemsize in (4, 8) and size <= LARGEST_LIST:
        return _numbers(space.dtype, space)
    return pa.binary(size * dtype.itemsize)


def _numbers(dtype: str, space: Space) -> pa.DataType:
    kind = pa.float64() if dtype == "float64" else pa.float32()
    return pa.list_(pa.field("element", kind, nullable=False), math.prod(space.shape))


def _in_memory(field: pa.Field, observation_space: Space, action_space: Space) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Element type and shape of one record's value in a column."""
    if field.name == "observation" and observation_space.kind == "box":
        return np.dtype(observation_space.dtype), observation_space.shape
    if field.name == "action" and action_space.kind == "box":
        return np.dtype(np.float32), (math.prod(action_space.shape),)
    return np.dtype(field.type.to_pandas_dtype()), ()

"""Rollout buffers as Arrow tables and back, bit for bit."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa

from engine.config import TrainConfig
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.control.snapshot import RolloutBuffer
from engine.spaces import Space
from engine.store.parquet import check_schema, columns_schema, flat_values, from_values

LARGEST_LIST = 64
"""Floats in an observation up to which it is a list of numbers on disk (SQL tools see them), not bytes."""

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

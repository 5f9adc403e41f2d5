"""Rollout buffers as Arrow tables and back, bit for bit."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.errors import DamagedRunError
from engine.kinds.control.snapshot import ControlSnapshot, RolloutBuffer
from engine.spaces import Space
from engine.store.columns import Element, columns_from
from engine.store.columns import records_table as columns_table
from engine.store.frames import with_frames_once, with_whole_images
from engine.store.manifest import KIND_VERSION, RunManifest
from engine.store.parquet import columns_schema

LARGEST_LIST = 64
"""Floats in an observation up to which it is a list of numbers on disk (SQL tools see them), not bytes."""

_TYPES: dict[str, Any] = {
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
    "repaired": pa.bool_(),
}
"""Columns of `records` in order; the spaces decide the type of None."""
_WHERE_FILTERED = ("critic_kept", "repaired")
"""Those that are left out where they say nothing: the critic trains on what the actor does, no record is repaired."""


def records_schema(observation_space: Space, action_space: Space, filtered: Collection[str] = ()) -> pa.Schema:
    """The exact columns of a `records` file; its metadata names the spaces' shapes and element types.

    Args:
        observation_space: of the environment.
        action_space: of the environment.
        filtered: which of the columns `critic_kept` and `repaired` it has.
    """
    observed = {name: _observation_type(part) for name, part in observation_columns(observation_space).items()}
    types: dict[str, Any] = {}
    for name, kind in _TYPES.items():
        types |= observed if name == "observation" else {name: kind}
    types["action"] = _numbers("float32", action_space) if action_space.kind == "box" else pa.int64()
    for name in _WHERE_FILTERED:
        if name not in filtered:
            del types[name]
    spaces = {**observation_columns(observation_space), "action": action_space}
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
    says = {"critic_kept": not np.array_equal(buffer.kept, buffer.critic_kept), "repaired": bool(buffer.repaired.any())}
    schema = records_schema(observation_space, action_space, [name for name, anything in says.items() if anything])
    columns = {**vars(buffer), "return": buffer.returns}
    if observation_space.parts:
        parts: Mapping[str, NDArray[Any]] = buffer.observation  # type: ignore[assignment]
        columns |= {column_of(name): part for name, part in parts.items()}
    return columns_table(columns, _in_memory(schema, observation_space, action_space), schema)


def buffer_from(table: pa.Table, observation_space: Space, action_space: Space, file: str) -> RolloutBuffer:
    """The inverse of `records_table`.

    Raises:
        DamagedRunError: a column is not of the exact type, a value is out of its space, or the record numbers are not 0 to
            n - 1.
    """
    schema = records_schema(observation_space, action_space, table.column_names)
    columns = columns_from(table, _in_memory(schema, observation_space, action_space), file, schema)
    columns.setdefault("critic_kept", columns["kept"])
    columns.setdefault("repaired", np.zeros(len(columns["kept"]), bool))
    observed = observation_columns(observation_space)
    for name, space in (*observed.items(), ("action", action_space)):
        if space.kind == "discrete" and ((columns[name] < 0) | (columns[name] >= space.n)).any():
            raise DamagedRunError(f"{file} is damaged: column {name} is not within 0 to {space.n - 1}")
    if observation_space.parts:
        columns["observation"] = {  # type: ignore[assignment]
            name: columns.pop(column_of(name)) for name in observation_space.parts
        }
    return RolloutBuffer(returns=columns.pop("return"), **columns)


def observation_columns(space: Space) -> dict[str, Space]:
    """The columns that an observation is kept in: `observation`, or `observation/<part>` for each of its parts.

    Which actions were allowed is a part, too, but stands in a column of its own.
    """
    return {column_of(name): part for name, part in sorted(space.parts.items())} or {"observation": space}


def column_of(part: str) -> str:
    """The column of a part of an observation."""
    return part if part in ("observation", "action_mask") else f"observation/{part}"


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


class ControlColumns:
    """One table, `records`, whose records go through the environments step by step."""

    of_round: ClassVar[type[ControlSnapshot]] = ControlSnapshot

    def tables(self, snapshot: ControlSnapshot, manifest: RunManifest) -> dict[str, pa.Table]:
        """`records`; from version 4 on with the frames of images once."""
        table = records_table(snapshot.buffer, manifest.observation_space, manifest.action_space)
        if manifest.schema_version >= KIND_VERSION:
            table = with_frames_once(table, _elements(manifest))
        return {"records": table}

    def buffer(self, manifest: RunManifest, tables: Sequence[pa.Table], names: Sequence[str]) -> RolloutBuffer:
        """The rollout buffer."""
        table = tables[0]
        if manifest.schema_version >= KIND_VERSION:
            table = with_whole_images(table, _elements(manifest), names[0])
        return buffer_from(table, manifest.observation_space, manifest.action_space, names[0])

    def snapshot(
        self, manifest: RunManifest, buffers: Mapping[str, Any], file: str, common: Mapping[str, Any]
    ) -> ControlSnapshot:
        """The round."""
        check_steps(buffers["records"], manifest.config, file)
        return self.of_round(
            observation_space=manifest.observation_space,
            action_space=manifest.action_space,
            environment=manifest.environment,
            buffer=buffers["records"],
            **common,
        )


COLUMNS = ControlColumns()


def _observation_type(space: Space) -> pa.DataType:
    if space.kind == "discrete":
        return pa.int64()
    dtype = np.dtype(space.dtype)
    size = math.prod(space.shape)
    if dtype.kind == "f" and dtype.itemsize in (4, 8) and size <= LARGEST_LIST:
        return _numbers(space.dtype, space)
    return pa.binary(size * dtype.itemsize)


def _elements(manifest: RunManifest) -> dict[str, Element]:
    return {name: (space.dtype, space.shape) for name, space in observation_columns(manifest.observation_space).items()}


def _numbers(dtype: str, space: Space) -> pa.DataType:
    kind = pa.float64() if dtype == "float64" else pa.float32()
    return pa.list_(pa.field("element", kind, nullable=False), math.prod(space.shape))


def _in_memory(schema: pa.Schema, observation_space: Space, action_space: Space) -> dict[str, Element]:
    """Type and shape of one record's value in each column but that of the record numbers."""
    observed = observation_columns(observation_space)

    def element(field: pa.Field) -> Element:
        space = observed.get(field.name)
        if space is not None and space.kind == "box":
            return space.dtype, space.shape
        if field.name == "action" and action_space.kind == "box":
            return "float32", (math.prod(action_space.shape),)
        return np.dtype(field.type.to_pandas_dtype()), ()

    return {field.name: element(field) for field in schema if field.name != "record"}

"""The sequences of a language model's round as two Arrow tables, records and tokens, and back, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import BadInputError, DamagedRunError
from engine.kinds.language.sequences import TOKEN_COLUMNS, LanguageSnapshot, SequenceBuffer
from engine.store.manifest import KIND_VERSION, RunManifest
from engine.store.parquet import check_schema, columns_schema, flat_values, from_values

PART = "reward/"
"""What the names of the columns begin with that a reward is made of."""

_BEFORE: dict[str, Any] = {
    "record": pa.int32(),
    "group": pa.int32(),
    "prompt": pa.string(),
    "response": pa.string(),
    "reward": pa.float32(),
}
_AFTER: dict[str, Any] = {"truncated": pa.bool_(), "kept": pa.bool_(), "tokens": pa.int32()}
_REPAIRED: dict[str, Any] = {"repaired": pa.bool_()}
"""The last column, left out where no record is repaired."""
_TOKEN_TYPES: dict[str, Any] = {"token": pa.int32(), "mask": pa.bool_()}
_DISK_NAMES = {"token_reward": "reward", "returns": "return"}
_TOKENS = columns_schema(
    {"record": pa.int32(), "position": pa.int32()}
    | {_DISK_NAMES.get(name, name): _TOKEN_TYPES.get(name, pa.float32()) for name in TOKEN_COLUMNS}
)
_TEXT = pa.field("text", pa.binary(), nullable=False)
"""What each token says, from version 4 on."""


def sequences_table(buffer: SequenceBuffer) -> pa.Table:
    """One row a record: its number, texts, rewards, and how many tokens it has.

    Raises:
        BadInputError: a column's length or dtype is not that of the format, or a text can't be written as UTF-8.
    """
    schema = _sequences_schema(tuple(buffer.reward_parts), repaired=bool(buffer.repaired.any()))
    columns: list[pa.Array] = []
    for field in schema:
        name = field.name
        if pa.types.is_string(field.type):
            columns.append(_texts(getattr(buffer, name), len(buffer), name))
            continue
        values: Any
        if name == "tokens":
            values = buffer.lengths.astype(np.int32)
        elif name.startswith(PART):
            values = buffer.reward_parts[name.removeprefix(PART)]
        else:
            values = getattr(buffer, name)
        columns.append(_column(values, field, len(buffer)))
    if buffer.start[0] != 0 or (buffer.lengths < 0).any() or buffer.start[-1] != len(buffer.token):
        raise BadInputError(f"start does not divide the {len(buffer.token)} tokens over the records")
    return pa.Table.from_arrays(columns, schema=schema)


def tokens_table(buffer: SequenceBuffer, texts: bool = True) -> pa.Table:
    """One row a token, with what it says or, as up to version 3, without. Errors as `sequences_table`."""
    total = len(buffer.token)
    position = np.arange(total) - np.repeat(buffer.start[:-1], buffer.lengths)
    own = [buffer.record_of_token, position.astype(np.int32), *(getattr(buffer, name) for name in TOKEN_COLUMNS)]
    columns = [_column(values, field, total) for values, field in zip(own, _TOKENS, strict=True)]
    table = pa.Table.from_arrays(columns, schema=_TOKENS)
    if not texts:
        return table
    if buffer.text is None or len(buffer.text) != total or buffer.text.null_count:
        has = "none" if buffer.text is None else f"{len(buffer.text) - buffer.text.null_count}"
        raise BadInputError(f"text has {has} of the texts of this round's {total} tokens; it needs each")
    return table.append_column(_TEXT, buffer.text)


def sequences_from(
    sequences: pa.Table, tokens: pa.Table, file: str, tokens_file: str, texts: bool = True
) -> SequenceBuffer:
    """The inverse of `sequences_table` and `tokens_table`.

    Raises:
        DamagedRunError: a column is not of the exact type, a token is negative, or the two tables don't fit together.
    """
    parts = tuple(name.removeprefix(PART) for name in sequences.column_names if name.startswith(PART))
    check_schema(sequences, _sequences_schema(parts, repaired="repaired" in sequences.column_names), file)
    check_schema(tokens, _TOKENS.append(_TEXT) if texts else _TOKENS, tokens_file)
    columns = {
        f.name: _values(sequences[f.name], f.type, f"{file} is damaged: column {f.name}") for f in sequences.schema
    }
    n = sequences.num_rows
    columns.setdefault("repaired", np.zeros(n, bool))
    if not np.array_equal(columns.pop("record"), np.arange(n)):
        raise DamagedRunError(f"{file} is damaged: column record is not 0 to {n - 1}")
    lengths = columns.pop("tokens").astype(np.int64)
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if (lengths < 0).any() or start[-1] != tokens.num_rows:
        raise DamagedRunError(
            f"{file} is damaged: column tokens does not count the {tokens.num_rows} tokens of its round"
        )
    token_columns: dict[str, Any] = {
        name: flat_values(tokens[name], np.dtype(kind.to_pandas_dtype())) for name, kind in _types(_TOKENS)
    }
    for name, expected in (
        ("record", np.repeat(np.arange(n), lengths)),
        ("position", np.arange(start[-1]) - np.repeat(start[:-1], lengths)),
    ):
        if not np.array_equal(token_columns[name], expected):
            raise DamagedRunError(f"{tokens_file} is damaged: column {name} does not count the records' tokens")
    if (token_columns["token"] < 0).any():
        raise DamagedRunError(
            f"{tokens_file} is damaged: column token has negative numbers; those of tokens begin at 0"
        )
    return SequenceBuffer(
        reward_parts={part: columns.pop(PART + part) for part in parts},
        start=start,
        text=tokens[_TEXT.name].combine_chunks() if texts else None,
        **columns,
        **{name: token_columns[_DISK_NAMES.get(name, name)] for name in TOKEN_COLUMNS},
    )


class LanguageColumns:
    """One row a sequence and one row a token; the same for held-out prompts."""

    def tables(self, snapshot: LanguageSnapshot, manifest: RunManifest) -> dict[str, pa.Table]:
        """`sequences` and `tokens`, and where there are held-out prompts `validation` and `validation_tokens`."""
        texts = _has_texts(manifest)
        tables = {"sequences": sequences_table(snapshot.buffer), "tokens": tokens_table(snapshot.buffer, texts)}
        if snapshot.validation is not None:
            tables["validation"] = sequences_table(snapshot.validation)
            tables["validation_tokens"] = tokens_table(snapshot.validation, texts)
        return tables

    def buffer(self, manifest: RunManifest, tables: Sequence[pa.Table], names: Sequence[str]) -> SequenceBuffer:
        """Sequences with their tokens."""
        (sequences, tokens), (file, tokens_file) = tables, names
        return sequences_from(sequences, tokens, file, tokens_file, _has_texts(manifest))

    def snapshot(
        self, manifest: RunManifest, buffers: Mapping[str, Any], file: str, common: Mapping[str, Any]
    ) -> LanguageSnapshot:
        """The round with its held-out responses."""
        if manifest.language is None:
            raise BadInputError("run.json has no settings of a language model")
        held_out = buffers.get("validation")
        return LanguageSnapshot(language=manifest.language, buffer=buffers["sequences"], validation=held_out, **common)


COLUMNS = LanguageColumns()


def _has_texts(manifest: RunManifest) -> bool:
    """Whether the tokens of a run have texts."""
    return manifest.schema_version >= KIND_VERSION


def _sequences_schema(parts: tuple[str, ...], *, repaired: bool) -> pa.Schema:
    of_parts = {PART + part: pa.float32() for part in parts}
    return columns_schema(_BEFORE | of_parts | _AFTER | (_REPAIRED if repaired else {}))


def _types(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]


def _column(values: Any, field: pa.Field, n: int) -> pa.Array:
    dtype = np.dtype(field.type.to_pandas_dtype())
    if values.dtype != dtype or values.shape != (n,):
        raise BadInputError(f"{field.name} is {values.dtype} {values.shape}; this round's needs {dtype} ({n},)")
    return from_values(values, field.type)


def _texts(values: list[str], n: int, name: str) -> pa.Array:
    if len(values) != n:
        raise BadInputError(f"{name} has {len(values)} texts; this round has {n} records")
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        raise BadInputError(f"a {name} can't be written as UTF-8; a text must not hold halves of characters") from None


def _values(column: pa.ChunkedArray, kind: pa.DataType, what: str) -> Any:
    if not pa.types.is_string(kind):
        return flat_values(column, np.dtype(kind.to_pandas_dtype()))
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        raise DamagedRunError(f"{what} is not UTF-8") from None

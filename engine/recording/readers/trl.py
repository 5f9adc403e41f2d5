"""TRL's GRPO completions: `completions_00012.parquet` with step, prompt, completion, a column a reward, extras, advantage."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInputError
from engine.recording.readers.limits import LONGEST_NAME, too_large
from engine.recording.readers.parquet_columns import ParquetColumns, is_readable, is_text
from engine.recording.readers.reward_columns import reward_parts
from engine.recording.readers.sequence_table import Columns, Sequences

TRL_FILE = re.compile(r"completions_([0-9]{1,9})\.parquet")
NEEDED = ("prompt", "completion")


def trl_sequences(data: bytes, where: str) -> Sequences:
    """The sequences of one file, see `Dump.table`.

    Columns of floats are reward parts, but for those of `log_extra` that the advantages tell apart (`reward_parts`); whole
    numbers, true/false and texts are extras. The weights of several parts are not written down, so the total is known only
    where there is one.

    Args:
        data: of the file.
        where: its name in messages.

    Raises:
        BadInputError: it is not such a file, or more than is read; names what is missing, or the limit.
    """
    file = ParquetColumns(data, where)
    _check(file, where)
    names = [name for name, kind in file.types.items() if name in NEEDED or _is_told(name, kind)]
    read = file.read(names, as_text=NEEDED)
    prompt, response = (read.pop(name).combine_chunks() for name in NEEDED)
    advantage = _floats(read.pop("advantage")) if "advantage" in read else None
    floats = {name: _floats(column) for name, column in read.items() if _is_float(column.type)}
    parts = reward_parts(floats, advantage, prompt.dictionary_encode().indices.to_numpy())
    columns = Columns(
        prompt,
        response,
        parts={name: floats[name] for name in parts},
        extras={name: column.combine_chunks() for name, column in read.items() if name not in parts},
        reward=floats[parts[0]] if len(parts) == 1 else None,
        advantage=advantage,
    )
    return Sequences(columns.table())


def _check(file: ParquetColumns, where: str) -> None:
    missing = [name for name in NEEDED if name not in file.types]
    if missing:
        raise BadInputError(
            f"{where} has no column {' and no '.join(missing)}, so it is not TRL's completions; it has "
            f"{', '.join(_on_a_line(name)[:80] for name in list(file.types)[:8])}"
        )
    odd = [name for name in NEEDED if not is_readable(file.types[name])]
    if odd:
        raise BadInputError(
            f"the column {odd[0]} of {where} is {_on_a_line(file.types[odd[0]])}, neither texts nor conversations"[:300]
        )
    if any(len(name) > LONGEST_NAME for name in file.types):
        raise too_large(where, "characters in a column's name", LONGEST_NAME)


def _on_a_line(text: object) -> str:
    return " ".join(str(text).split())


def _is_told(name: str, kind: pa.DataType) -> bool:
    """Whether a column is one of numbers or texts about the sequences."""
    if name == "step" or name.startswith("__"):
        return False
    if name == "advantage":
        return _is_float(kind) or pa.types.is_integer(kind)
    return _is_float(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or is_text(kind)


def _is_float(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """(n,) numbers, NaN where there is none; beyond a float's range infinite."""
    values = column.cast(pa.float64(), safe=False).to_numpy()
    with np.errstate(over="ignore"):
        return values.astype(np.float32)

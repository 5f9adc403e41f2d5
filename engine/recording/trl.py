"""TRL's GRPO completions: `completions_00012.parquet` with step, prompt, completion, a column a reward, advantage."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import BadInputError
from engine.recording.sequences import sequences_table, text_of

TRL_FILE = re.compile(r"completions_(\d{1,9})\.parquet")
NEEDED = ("prompt", "completion")


def trl_table(data: bytes, file: Path) -> pa.Table:
    """The sequences of one file, see `Dump.table`.

    Columns of numbers beside `step` and `advantage` are reward parts. The weights of several are not written down, so the
    total is known only where there is one.

    Raises:
        BadInputError: it is not such a file; names what is missing.
    """
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadInputError(f"{file} is not a Parquet file, so not TRL's completions: {_line(error)}") from None
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise BadInputError(
            f"{file} has no column {' and no '.join(missing)}, so it is not TRL's completions; it has "
            f"{', '.join(table.column_names[:8])}"
        )
    prompt, response = ([text_of(value) for value in table.column(name).to_pylist()] for name in NEEDED)
    numbers = {
        field.name: table.column(field.name).cast(pa.float32(), safe=False).to_numpy()
        for field in table.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_null(field.type)
    }
    advantage = numbers.pop("advantage", None)
    parts = {name: values for name, values in numbers.items() if name != "step" and not name.startswith("__")}
    reward = next(iter(parts.values())) if len(parts) == 1 else None
    return sequences_table(prompt, response, {n: v.astype(np.float32) for n, v in parts.items()}, reward, advantage)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]

"""verl's generations: `12.jsonl`, a JSON object a line with input, output, score, step and what the reward function said."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import BadInputError
from engine.recording.sequences import sequences_table, text_of

VERL_FILE = re.compile(r"(\d{1,9})\.jsonl")
NEEDED = ("input", "output")


def verl_table(data: bytes, file: Path) -> pa.Table:
    """The sequences of one file, see `Dump.table`: `score` is the reward, other numbers are its parts.

    Raises:
        BadInputError: a line is not such an object; names the line.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            rows.append(_row(line, f"{file}, line {number}"))
    if not rows:
        raise BadInputError(f"{file} is empty; verl writes a JSON object a sequence into it")
    names = dict.fromkeys(name for row in rows for name, value in row.items() if _is_number(value))
    numbers = {name: np.array([_number(row.get(name)) for row in rows], np.float32) for name in names if name != "step"}
    prompt, response = ([text_of(row[name]) for row in rows] for name in NEEDED)
    reward = numbers.pop("score", None)
    return sequences_table(prompt, response, numbers, reward)


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise BadInputError(f"{where} is not JSON, so not verl's generations") from None
    if not isinstance(row, dict):
        raise BadInputError(f"{where} is not a JSON object, so not verl's generations")
    missing = [name for name in NEEDED if name not in row]
    if missing:
        raise BadInputError(f"{where} has no {' and no '.join(missing)}, so it is not verl's generations")
    return row


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else math.nan

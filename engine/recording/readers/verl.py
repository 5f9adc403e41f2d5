"""verl's generations: `12.jsonl`, a JSON object a line with input, output, score, step and what the reward function said."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInputError
from engine.recording.readers.limits import (
    DEEPEST,
    LONGEST,
    LONGEST_NAME,
    MOST_COLUMNS,
    MOST_ROWS,
    MOST_VALUES,
    Budget,
    mebibytes,
    too_large,
)
from engine.recording.readers.sequence_table import Columns, Sequences, text_of, texts, utf8, whole

VERL_FILE = re.compile(r"([0-9]{1,9})\.jsonl")
NEEDED = ("input", "output")
UNFINISHED = "The file's last line is not whole yet (it may be being written), so it is left out."
_ABOUT = ("step", "uid")
"""Names that are neither parts of a reward nor extras."""
_ANSWERS = ("gts", "pred", "answer", "ground_truth")
"""Texts that may look like numbers and are none."""
_SAMPLE = re.compile(r"(.+)_\d+_\d+")
"""verl's newer names of a sequence: sample, rollout, output."""
_DIGITS = 308
"""Digits of an integer that a double holds for sure."""
_WORDS = {"true": 1.0, "false": 0.0, "none": math.nan, "": math.nan}
_NUMBER = re.compile(
    r"[-+]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][-+]?\d{1,9})?|[-+]?(nan|inf(inity)?)", re.IGNORECASE
)


def verl_sequences(data: bytes, where: str) -> Sequences:
    """The sequences of one file, see `Dump.table`: `score` is the reward, other numbers are its parts.

    Numbers that are written as texts (verl writes NumPy's so) are numbers; other texts are extras. A last line that is
    neither whole nor ended is left out, and the note says so.

    Args:
        data: of the file.
        where: its name in messages.

    Raises:
        BadInputError: a line is not such an object, or there is more than is read; names the line or the limit.
    """
    prompt: list[bytes] = []
    response: list[bytes] = []
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    budget, values, note = Budget(where), 0, ""
    for line, place in _lines(data, where):
        row = _row(line, place)
        if row is None:
            note = UNFINISHED
            break
        for kept, name in ((prompt, NEEDED[0]), (response, NEEDED[1])):
            kept.append(utf8(text_of(row.pop(name))))
            budget.take(len(kept[-1]))
        rows.append({name: _scalar(value, budget) for name, value in row.items() if _is_scalar(value)})
        names.update(dict.fromkeys(rows[-1]))
        values += len(rows[-1])
        if len(names) > MOST_COLUMNS:
            raise too_large(place, "different names", MOST_COLUMNS)
        if values > MOST_VALUES:
            raise too_large(place, "values beside the texts", MOST_VALUES)
    return Sequences(_columns(texts(prompt), texts(response), rows, names).table(), note)


def _lines(data: bytes, where: str) -> Iterator[tuple[str, str]]:
    """The lines that are not blank, and how messages name them; bytes that are not UTF-8 become U+FFFD."""
    stream, number = io.BytesIO(data.removeprefix(b"\xef\xbb\xbf")), 0
    while line := stream.readline(LONGEST + 1):
        number += 1
        if number > MOST_ROWS:
            raise too_large(where, "lines", MOST_ROWS)
        if len(line) > LONGEST:
            raise too_large(f"{where}, line {number}", "in a line", mebibytes(LONGEST))
        if line.strip():
            yield line.decode(errors="replace"), f"{where}, line {number}"


def _row(line: str, where: str) -> dict[str, Any] | None:
    """The object that a line is; None if the line is the beginning of one."""
    try:
        row = json.loads(line, parse_int=_integer)
        deep = _is_deep(row)
    except RecursionError:
        deep = True
    except json.JSONDecodeError:
        if line.lstrip().startswith("{") and not line.endswith("\n"):
            return None
        raise BadInputError(f"{where} is not JSON, so not verl's generations") from None
    if deep:
        raise too_large(where, "lists and objects within one another", DEEPEST)
    if not isinstance(row, dict):
        raise BadInputError(f"{where} is not a JSON object, so not verl's generations")
    missing = [name for name in NEEDED if name not in row]
    if missing:
        raise BadInputError(f"{where} has no {' and no '.join(missing)}, so it is not verl's generations")
    if any(len(name) > LONGEST_NAME for name in row):
        raise too_large(where, "characters in a name", LONGEST_NAME)
    return {whole(name): value for name, value in row.items()}


def _integer(digits: str) -> int | float:
    """An integer; one that no double holds is infinite, as a float of that size is."""
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _is_deep(value: Any, depth: int = 0) -> bool:
    if not isinstance(value, dict | list):
        return False
    if depth == DEEPEST:
        return True
    return any(_is_deep(one, depth + 1) for one in (value.values() if isinstance(value, dict) else value))


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _scalar(value: str | float, budget: Budget) -> bytes | float:
    if not isinstance(value, str):
        return float(value)
    text = utf8(value)
    budget.take(len(text))
    return text


def _columns(
    prompt: pa.Array, response: pa.Array, rows: Sequence[Mapping[str, Any]], names: Mapping[str, None]
) -> Columns:
    """Tell reward, parts, extras and groups apart."""
    parts: dict[str, NDArray[np.float32]] = {}
    extras: dict[str, pa.Array] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        numbers = None if name in _ANSWERS else _numbers(values)
        if numbers is not None:
            parts[name] = numbers
        else:
            extras[name] = texts([_written(value) for value in values])
    uid = [_written(row.get("uid")) for row in rows]
    for name in _ABOUT:
        parts.pop(name, None)
        extras.pop(name, None)
    group_by = texts([_sample(one) for one in uid if one is not None])
    return Columns(
        prompt,
        response,
        parts,
        extras,
        reward=parts.pop("score", None),
        group_by=group_by if rows and len(group_by) == len(rows) else None,
    )


def _numbers(values: Sequence[bytes | float | None]) -> NDArray[np.float32] | None:
    """The column as numbers, NaN where there is none; None if it is one of texts."""
    found = [_number(value) for value in values]
    if not any(isinstance(value, float) for value in values):
        told = [one is not None and not math.isnan(one) for one in found]
        if None in found or not any(told):
            return None
    with np.errstate(over="ignore"):  # beyond a float's range is infinite
        return np.array([math.nan if one is None else one for one in found], np.float64).astype(np.float32)


def _number(value: bytes | float | None) -> float | None:
    """The number that a value is, or says; NaN where there is none, None if it is a text."""
    if isinstance(value, bytes):
        word = value.decode().strip().lower()
        return _WORDS[word] if word in _WORDS else float(word) if _NUMBER.fullmatch(word) else None
    return math.nan if value is None else value


def _written(value: bytes | float | None) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else f"{value:.17g}".encode()


def _sample(uid: bytes) -> bytes:
    """`7_2_0`, the second rollout of sample 7 -> `7`; other names are those of groups."""
    match = _SAMPLE.fullmatch(uid.decode())
    return match[1].encode() if match else uid

"""JSON from a run, read strictly: what no writer of this format writes is an error in one line, never a surprise later."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import msgspec

from engine.errors import DamagedRunError

DEEPEST = 64
"""Lists and objects within one another."""
LONGEST_NUMBER = 20
"""Characters of a whole number; 64 bits have no more."""

_LONG_NUMBER = re.compile(rb"[:,\[\s]-?\d{19}")
"""A whole number in a list or an object that may need more than 64 bits."""
_HALF_A_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(data: bytes, file: str) -> Any:
    """The values in a JSON text.

    >>> parse_json(b'{"round": 3}', "commits/000003.json")
    {'round': 3}

    Raises:
        DamagedRunError: it is not UTF-8 or not JSON, is nested deeper than `DEEPEST`, holds a whole number that 64 bits do
            not, or a text with half a character; names `file`.
    """
    if data.startswith((b"{", b"[")) and _is_shallow(data) and not _LONG_NUMBER.search(data):
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):  # ten times faster; what it refuses is looked at below
            return msgspec.json.decode(data)
    try:
        values = json.loads(data.decode(), parse_int=_whole_number)
    except UnicodeDecodeError:
        raise DamagedRunError(f"{file} is damaged: it is not UTF-8") from None
    except RecursionError:
        raise DamagedRunError(f"{file} is damaged: it is nested too deeply") from None
    except ValueError as error:
        raise DamagedRunError(f"{file} is damaged: it is not JSON ({error})") from None
    _check_depth(values, file)
    if _HALF_A_CHARACTER.search(data):
        _check_texts(values, file)
    return values


def _is_shallow(data: bytes) -> bool:
    """Whether there are so few brackets that nothing can be nested too deeply."""
    return data.count(b"{") + data.count(b"[") <= DEEPEST


def _whole_number(text: str) -> int:
    number = int(text) if len(text) <= LONGEST_NUMBER else 2**64
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"the whole number {text[:12]}… needs more than 64 bits")
    return number


def _check_depth(values: Any, file: str) -> None:
    level = [values]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inner(outer) if isinstance(inner, list | dict)]
        if not level:
            return
    raise DamagedRunError(f"{file} is damaged: it is nested deeper than {DEEPEST} levels")


def _check_texts(values: Any, file: str) -> None:
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DamagedRunError(f"{file} is damaged: a text in it holds half a character") from None


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()

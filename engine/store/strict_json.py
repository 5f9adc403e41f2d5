"""JSON from a run, read strictly: what no writer of this format writes is an error in one line, never a surprise later."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

import msgspec

from engine.errors import DamagedRunError
from engine.typed import typed

T = TypeVar("T")

DEEPEST = 64
"""Lists and objects within one another."""
LONGEST_NUMBER = 20
"""Characters of a whole number; 64 bits have no more."""

_REFUSED = (msgspec.MsgspecError, UnicodeDecodeError)
"""What the fast reader says of a text that has to be looked at closely: ten times slower."""
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
    if _is_plain(data):
        with suppress(*_REFUSED):
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


def parse_json_as(kind: type[T], data: bytes, file: str) -> T:
    """`typed` of `parse_json`, at once where the text is plain. Names that no field has are passed over.

    Raises:
        DamagedRunError: as `parse_json`.
        BadInputError: as `typed`.
    """
    if _is_plain(data):
        with suppress(*_REFUSED):
            found: T = _decoder(kind).decode(data)
            return found
    return typed(kind, parse_json(data, file), more=True)


_decoder: Callable[[Any], msgspec.json.Decoder[Any]] = cache(msgspec.json.Decoder)


def _is_plain(data: bytes) -> bool:
    """Whether a fast reader that looks at neither may read it: it is not nested too deeply, and has no huge whole number."""
    shallow = data.count(b"{") + data.count(b"[") <= DEEPEST
    return data.startswith((b"{", b"[")) and shallow and not _LONG_NUMBER.search(data)


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

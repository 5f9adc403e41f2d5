"""Plain values, as JSON has them, checked against the types that they are to have."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from operator import index
from typing import Any, TypeVar

import msgspec

from engine.errors import BadInputError

T = TypeVar("T")


def typed(kind: type[T], values: Any) -> T:
    """A dataclass from plain values, or plain values themselves, each of the type that is asked for.

    >>> typed(dict[str, list[int]], {"PPO": [0, 1]})
    {'PPO': [0, 1]}

    Raises:
        ValueError: a value is missing, of another type or out of its range, or there is one that no field takes.
    """
    if is_dataclass(kind):
        if not isinstance(values, dict):
            raise ValueError("it is not an object")
        unknown = sorted(set(values) - {field.name for field in fields(kind)})
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}")
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def whole(value: Any, what: str) -> int:
    """A number that a caller gave, of whatever type integers are.

    Raises:
        BadInputError: it is no integer.
    """
    try:
        return index(value)
    except TypeError:
        raise BadInputError(f"{what} is {value!r}; it must be a whole number") from None

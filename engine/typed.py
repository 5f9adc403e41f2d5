"""Plain values, as JSON has them, read as the types that they are to have; what does not fit is refused in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import index
from reprlib import Repr
from sys import float_info
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, inspect

from engine.errors import BadInputError

T = TypeVar("T")
LARGEST = float_info.max
Finite = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Meta(gt=0, le=LARGEST)]
Share = Annotated[float, Meta(ge=0, le=1)]
Correlation = Annotated[float, Meta(ge=-1, le=1)]
Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Moment = Annotated[float, Meta(ge=0, lt=253_370_764_800, extra={"right": "seconds since 1970"})]
"""Before the year 9999."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.TupleType)
_OBJECTS = (inspect.DataclassType, inspect.TypedDictType, inspect.DictType)
_NOUNS: tuple[tuple[Any, str, tuple[type, ...]], ...] = (
    (inspect.BoolType, "true or false", (bool,)),
    (inspect.IntType, "a whole number", (int,)),
    (inspect.FloatType, "a finite number", (int, float)),
    (inspect.StrType, "a text", (str,)),
    (inspect.NoneType, "null", (type(None),)),
    (_LISTS, "a list", (list, tuple)),
    (_OBJECTS, "an object", (dict,)),
)
"""Types, what they are called, and the plain values that are of them."""


def typed(kind: type[T], values: Any, what: str = "field", *, more: bool = False) -> T:
    """Check plain values against a type and convert them to it: to a dataclass, or to plain values of the right types.

    >>> typed(dict[str, list[int]], {"PPO": [0, 1]})
    {'PPO': [0, 1]}
    >>> typed(dict[str, list[int]], {"PPO": 3})
    Traceback (most recent call last):
    engine.errors.BadInputError: [...] must be a list

    Args:
        kind: the type.
        values: plain values.
        what: what a name in them stands for, such as `setting`.
        more: whether they may have names that no field has, which are then passed over.

    Raises:
        BadInputError: a value is missing, of another type or out of its range, or has a name that no field has; says
            which, what it is and what would be right.
    """
    unknown = None if more else next(_unknown(_Location(_info(kind), values), what), None)
    if unknown is not None:
        raise BadInputError(unknown)
    return _converted(kind, values, "", what)


def settle(made: Any) -> None:
    """Give the fields of a frozen dataclass, in its `__post_init__`, their types: tuples for lists, plain numbers for NumPy's.

    Raises:
        BadInputError: a value is of another type or out of its range; says which, what it is and what would be right.
    """
    own: Any = type(made)
    for name, kind in _kinds(own).items():
        value = getattr(made, name)
        plain = value.tolist() if hasattr(value, "dtype") else value
        object.__setattr__(made, name, _converted(kind, plain, name, "field"))


def whole(value: Any, what: str) -> int:
    """A number that a caller gave, of whatever type integers are.

    Raises:
        BadInputError: it is no integer.
    """
    try:
        return index(value)
    except TypeError:
        raise BadInputError(f"{what} is {value!r}; it must be a whole number") from None


@cache
def _kinds(made: Any) -> dict[str, Any]:
    """The fields' types, with their ranges."""
    return get_type_hints(made, include_extras=True)


def _info(kind: Any) -> inspect.Type:
    """What msgspec makes of a type; it takes a while, so that of a class is kept."""
    return _info_of_class(kind) if isinstance(kind, type) else inspect.type_info(kind)


_info_of_class = cache(inspect.type_info)


def _converted(kind: type[T], values: Any, path: str, what: str) -> T:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise BadInputError(_in_words(error, _Location(_info(kind), values, path), what)) from None


@dataclass(frozen=True)
class _Location:
    """A value among others, the type that it is to have, and where it stands: `arms[0].settings`."""

    kind: inspect.Type
    value: Any
    """`...` where it is not known which one it is."""
    path: str = ""

    def below(self, step: str | int) -> _Location | None:
        """What stands there under a name, or in a list; None where the type says nothing of it."""
        match _whole(self.kind):
            case inspect.DataclassType(fields=named) | inspect.TypedDictType(fields=named):
                found = next((field.type for field in named if field.encode_name == step), None)
            case inspect.DictType(value_type=found):
                pass
            case inspect.TupleType(item_types=several) if isinstance(step, int):
                found = several[step] if step < len(several) else None
            case inspect.ListType(item_type=found) | inspect.VarTupleType(item_type=found):
                pass
            case _:
                found = None
        if found is None or "right" in _extra(self.kind):
            return None
        known = isinstance(self.value, list | tuple | dict) and step != "..." and len(self.value) > 0
        if isinstance(step, int) or step == "...":
            path = f"{self.path}[{step}]"
        else:
            name = step if step.isprintable() and 0 < len(step) <= _SHORT.maxstring else _SHORT.repr(step)
            path = f"{self.path}.{name}".lstrip(".")
        return _Location(found, self.value[step] if known else ..., path)

    @property
    def inside(self) -> Iterator[_Location]:
        """All that stands in it."""
        match self.value:
            case dict():
                steps: Sequence[Any] = [*self.value] if _has_parts(self.kind) else ()
            case list() | tuple() if (first := self.below(0)) and isinstance(_whole(first.kind), _LISTS + _OBJECTS):
                steps = range(len(self.value))
            case _:
                steps = ()
        for step in steps:
            below = self.below(step)
            if below is not None:
                yield below


def _unknown(place: _Location, what: str) -> Iterator[str]:
    """The names that no field has, in words."""
    kind = _whole(place.kind)
    if isinstance(kind, inspect.DataclassType) and isinstance(place.value, dict):
        known = sorted(field.encode_name for field in kind.fields)
        for name in place.value.keys() - set(known):
            where = f" in {place.path}" if place.path else ""
            yield f"unknown {what} {_SHORT.repr(name)}{where}; the {what}s are {', '.join(known)}"
    for below in place.inside:
        yield from _unknown(below, what)


def _in_words(error: msgspec.ValidationError, place: _Location, what: str) -> str:
    """What msgspec found, said of the value that is wrong: which it is, what it is, what would be right."""
    match = re.fullmatch(r"(?s)(.*?)(?: - at (`key` in )?`\$(\S*)`)?", str(error))
    said, is_name, path = match.groups(default="") if match else (str(error), "", "")
    for name, number in re.findall(r"\.(\w+)|\[(\d+|\.{3})\]", path):
        below = place.below(int(number) if number.isdigit() else name or number)
        if below is None:
            break
        place = below
    if error.__cause__ is not None:
        return f"{place.path}: {error.__cause__}" if place.path else str(error.__cause__)
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", said):
        return f"the {what} {place.path}.{missing[1]} is missing".replace(" .", " ")
    if is_name:
        return f"a name in {place.path or 'it'} must be {_right(_whole(place.kind).key_type, ...)}"
    right = _right(place.kind, place.value)
    if not place.path or place.value is ...:
        return f"{place.path or 'it'} must be {right}"
    is_choice = isinstance(_whole(place.kind), inspect.LiteralType) and isinstance(place.value, str)
    shown = _SHORT.repr(place.value)
    return f"{place.path} is {shown[1:-1] if is_choice else shown}; it must be {right}"


def _extra(kind: inspect.Type) -> dict[str, Any]:
    return (kind.extra or {}) if isinstance(kind, inspect.Metadata) else {}


def _whole(kind: Any) -> Any:
    """A type without what is said about it; of several, the one that has parts."""
    if isinstance(kind, inspect.Metadata):
        return _whole(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next((each for each in map(_whole, kind.types) if isinstance(each, _LISTS + _OBJECTS)), kind)
    return kind


def _has_parts(kind: inspect.Type) -> bool:
    """Whether values of an object's type may have names of their own, or lists of such."""
    match _whole(kind):
        case inspect.DataclassType() | inspect.TypedDictType():
            return True
        case inspect.DictType(value_type=found):
            return isinstance(_whole(found), _LISTS + _OBJECTS)
    return False


def _right(kind: Any, value: Any) -> str:
    """What a value of the type is, in words: all of it, or the range alone where the rest is right."""
    if "right" in _extra(kind):
        return str(_extra(kind)["right"])
    match kind:
        case inspect.Metadata():
            return _right(kind.type, value)
        case inspect.UnionType():
            fitting = [
                each for each in kind.types if _fits(each.type if isinstance(each, inspect.Metadata) else each, value)
            ]
            return " or ".join(_right(each, value) for each in fitting or kind.types)
        case inspect.LiteralType():
            choices = [str(choice) for choice in kind.values]
            return " or ".join(choices) if len(choices) < 3 else "one of " + ", ".join(choices)
    noun = next((noun for each, noun, _ in _NOUNS if isinstance(kind, each)), "another one")
    if getattr(kind, "min_length", None):
        noun = f"{noun} of at least {kind.min_length}"
    limits = _limits(kind) if isinstance(kind, inspect.IntType | inspect.FloatType) else ""
    if not limits:
        return noun
    return limits if _fits(kind, value) else f"{noun} {'of ' if limits.startswith('at') else ''}{limits}"


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value is of a type, but for its range."""
    right = any(type(value) in types for each, _, types in _NOUNS if isinstance(kind, each))
    return right and (not isinstance(value, float | int) or -LARGEST <= value <= LARGEST)


def _limits(kind: inspect.IntType | inspect.FloatType) -> str:
    """The range of a number in words; empty where there is none but that it is finite."""
    low, above, high, below = (
        None if bound is None or abs(bound) == LARGEST else f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
        for bound in (kind.ge, kind.gt, kind.le, kind.lt)
    )
    match low, above, high, below:
        case (str(), _, str(), _):
            return f"from {low} to {high}" if isinstance(kind, inspect.IntType) else f"in [{low}, {high}]"
        case (str(), _, _, str()):
            return f"in [{low}, {below})"
    bounds = {"at least": low, "above": above, "at most": high, "below": below}
    return " and ".join(f"{word} {bound}" for word, bound in bounds.items() if bound is not None)

"""The kinds of runs, by name. What is said of one here costs nothing; the kind itself is imported on first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from engine.errors import BadInputError

UPDATE = ("checkpoint", "minibatches")
"""The tables that a round of every kind has, after those of its own buffer."""
Part = tuple[str, ...]
"""The tables that a buffer is kept in, by the names that they have in a commit."""


@dataclass(frozen=True)
class _Registered:
    home: Any
    columns: Any
    parts: tuple[Part, ...]

    @cached_property
    def rounds(self) -> list[list[str]]:
        """The tables that a round may have: of its own buffer, what is needed for the update, and of other buffers."""
        own, *others = self.parts
        return [
            [*own, *UPDATE, *(table for part in others[:count] for table in part)] for count in range(len(others) + 1)
        ]


_KINDS: dict[str, _Registered] = {}


def register(name: str, home: Any, columns: Any, parts: Sequence[Part]) -> None:
    """Make a kind of run known.

    Args:
        name: what `run.json` calls it.
        home: the kind (an `engine.core.kind.Kind`), or the `module:name` that it is found under when it is first needed.
        columns: how its rounds are kept (an `engine.store.kind_tables.Columns`), or where that is found: apart from the
            kind, so that reading a run loads nothing that only training or attribution needs.
        parts: the tables of a round's own buffer, and of others that it may also have, in the order in which they are
            written. A row of the first table is a record.
    """
    _KINDS[name] = _Registered(home, columns, tuple(parts))


def kind_named(name: str) -> Any:
    """The kind of that name.

    Raises:
        BadInputError: there is none; names those that there are.
    """
    return at_home(_registered(name).home)


def columns_named(name: str) -> Any:
    """How rounds of the kind of that name are kept. Errors as `kind_named`."""
    return at_home(_registered(name).columns)


def _registered(name: str) -> _Registered:
    if name not in _KINDS:
        raise BadInputError(f"this run is of the kind {name!r}, which is not known here; there is {', '.join(_KINDS)}")
    return _KINDS[name]


def at_home(home: Any) -> Any:
    """What is registered: the thing itself, or what is found under its `module:name`."""
    if not isinstance(home, str):
        return home
    module, _, attribute = home.partition(":")
    return getattr(import_module(module), attribute)


def parts_of(name: str) -> tuple[Part, ...]:
    """The tables that a round of the kind may have, as they are registered; none of a kind that is not known."""
    return _KINDS[name].parts if name in _KINDS else ()


def is_round(tables: Sequence[str]) -> bool:
    """Whether a round of some kind may have these tables, in this order."""
    return any([*tables] in kind.rounds for kind in _KINDS.values())

"""Worlds by name: a name in the settings that stands for a policy, a reward and prompts; imported on first use."""

from __future__ import annotations

from typing import Any

from engine.errors import BadInputError
from engine.known_kinds import at_home

_WORLDS: dict[str, Any] = {}


def register(name: str, home: Any) -> None:
    """Make a world known.

    Args:
        name: what the settings call it, as `policy`, `reward`, `prompts` or `env_id`.
        home: the world (an `engine.kinds.language.named.NamedWorld`), or the `module:name` that it is found under when it
            is first needed.
    """
    _WORLDS[name] = home


def names() -> tuple[str, ...]:
    """Of every world that is known."""
    return tuple(_WORLDS)


def is_world(name: str) -> bool:
    """Whether a world has that name; any other is a model's name or a path."""
    return name in _WORLDS


def world_named(name: str) -> Any:
    """The world of that name.

    Raises:
        BadInputError: there is none; names those that there are.
    """
    if name not in _WORLDS:
        raise BadInputError(f"there is no world {name!r}; there is {', '.join(_WORLDS)}")
    return at_home(_WORLDS[name])

"""What the parts of observations and the actions of an environment outside the catalogue are called."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
from msgspec import Meta

from engine.errors import BadInputError
from engine.spaces import Space
from engine.typed import typed

MOST_NAMES = 1024
"""Parts or actions that are named where nobody names them."""
Texts = Annotated[tuple[str, ...], Meta(extra={"right": "a list of texts"})]


@dataclass(frozen=True)
class Names:
    """What a person calls the parts of observations and the actions, as the file of `--names` says it."""

    observation: Texts = ()
    """Of the numbers of an observation, flattened, or of the values of a discrete one; empty: as the environment says."""
    action: Texts = ()
    """Of discrete actions, or of the numbers of a continuous one."""

    def on(self, observation: Space, action: Space) -> tuple[Space, Space]:
        """The spaces with these names.

        Raises:
            BadInputError: there are not as many as the space has values or numbers.
        """
        return _renamed(observation, self.observation, "observation"), _renamed(action, self.action, "action")


def names_from(values: Any) -> Names:
    """Names from plain values.

    Raises:
        BadInputError: they are no such names.
    """
    try:
        return values if isinstance(values, Names) else typed(Names, values, "name")
    except BadInputError as error:
        raise BadInputError(f"names: {error}") from None


def own_names(env: gym.Env[Any, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The attributes `observation_names` and `action_names` of an environment, or `observation 0` and so on.

    Raises:
        BadInputError: there is one which is no list of as many texts as the space has values or numbers.
    """
    return _own(env, "observation", env.observation_space), _own(env, "action", env.action_space)


def _own(env: gym.Env[Any, Any], what: str, space: gym.Space[Any]) -> tuple[str, ...]:
    first = int(space.start) if isinstance(space, gym.spaces.Discrete) else 0
    size = int(space.n) if isinstance(space, gym.spaces.Discrete) else int(np.prod(space.shape or (), dtype=np.int64))
    attribute = f"{what}_names"
    if env.has_wrapper_attr(attribute):
        found = env.get_wrapper_attr(attribute)
        if (
            not isinstance(found, Sequence)
            or isinstance(found, str)
            or not all(isinstance(name, str) for name in found)
        ):
            raise BadInputError(f"{attribute} of the environment must be a list of texts")
        if len(found) == size:
            return tuple(found)
        own = getattr(env.unwrapped, attribute, None)
        if own is not found or space == getattr(env.unwrapped, f"{what}_space"):
            raise BadInputError(f"{attribute} of the environment has {len(found)} names; it needs {size}")
    is_image = isinstance(space, gym.spaces.Box) and space.dtype == np.uint8 and len(space.shape) > 1
    return () if is_image else _counted(what, size, first)


def _counted(what: str, size: int, first: int = 0) -> tuple[str, ...]:
    return () if size > MOST_NAMES else tuple(f"{what} {first + i}" for i in range(size))


def numbered(space: Space, what: str) -> Space:
    """The space with names where it has none: `observation 0` and so on, also of its parts; none of images.

    >>> numbered(Space("box", shape=(2,), dtype="float32"), "observation").names
    ('observation 0', 'observation 1')
    """
    if space.parts:
        return replace(space, parts={name: numbered(part, what) for name, part in space.parts.items()})
    return space if space.names or space.encoder == "image" else replace(space, names=_counted(what, space.size))


def named_by(envs: Sequence[gym.Env[Any, Any]], space: Space, what: str) -> Space:
    """The space of what another trainer keeps of environments, with the first one's own names where they fit, else numbered.

    Args:
        envs: as they are stepped in this process; may be empty.
        space: of the observations that its policy is shown, or of the actions.
        what: `observation` or `action`.
    """
    with suppress(BadInputError):
        own = _own(envs[0], what, getattr(envs[0], f"{what}_space")) if envs else ()
        if own and not space.parts and len(own) == space.size:
            return replace(space, names=own)
    return numbered(space, what)


def _renamed(space: Space, names: Sequence[str], what: str) -> Space:
    if names and len(names) != space.size:
        raise BadInputError(f"names: {what} has {len(names)} names; {space.size} are needed")
    return replace(space, names=tuple(names)) if names else space

"""What a catalogue entry says of an environment, and how to make it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from engine.environment_spec import EnvironmentSpec
from engine.envs.fitting import Fitted, described
from engine.envs.layout import Layout
from engine.envs.names import own_names
from engine.envs.toy_text import layout_of
from engine.errors import BadInputError
from engine.spaces import Space

_ELAPSED = "_elapsed_steps"
"""Where Gymnasium's time limit counts."""


@dataclass(frozen=True)
class Extra:
    """An optional dependency of this project, without which an environment can't be made."""

    name: str
    """Its name in `pyproject.toml`: `pip install 'snapshot-influence[name]'` brings it."""
    package: str
    """What the package is called on PyPI."""
    load: Callable[[], object]
    """Imports the package; afterwards Gymnasium knows its environments."""


@dataclass(frozen=True)
class StateAccess:
    """How to take an environment's state out, and to put it into another copy of the environment, exactly.

    An environment outside the catalogue has one as its attribute `state_access`, or none: then its states are reached by
    stepping through the recorded actions again.

    >>> import engine
    >>> access = engine.StateAccess(
    ...     read=lambda env: (env.unwrapped.place,), write=lambda env, state: setattr(env.unwrapped, "place", state[0])
    ... )

    The state is all that the next steps depend on, but the elapsed steps of a time limit, which `Environment.put` sets,
    and the random generator.
    """

    read: Callable[[gym.Env[Any, Any]], tuple[Any, ...]]
    """Its state as numbers and arrays of its own; equal ones mean equal states."""
    write: Callable[[gym.Env[Any, Any], tuple[Any, ...]], None]
    """Put a state into an environment that was reset at least once."""


def attributes(*names: str, **fresh: Any) -> StateAccess:
    """The state of an environment that keeps it in these attributes; those in `fresh` get the same value every time."""

    def read(env: gym.Env[Any, Any]) -> tuple[Any, ...]:
        return tuple(np.array(getattr(env.unwrapped, name)) for name in names)

    def write(env: gym.Env[Any, Any], state: tuple[Any, ...]) -> None:
        for name, value in zip(names, state, strict=True):
            setattr(env.unwrapped, name, value.copy() if value.ndim else value.item())
        for name, value in fresh.items():
            setattr(env.unwrapped, name, value)

    return StateAccess(read, write)


@dataclass(frozen=True)
class Environment:
    """One environment: how to make it, what its numbers are called, and good settings for it."""

    name: str
    """Name in the catalogue, on the command line and in `run.json` (`env_id`)."""
    gym_id: str
    """Gymnasium id."""
    description: str
    """One line for people."""
    observation_names: tuple[str, ...]
    """Names of the components of a box observation, or of the values of a discrete one; none for an image."""
    action_names: tuple[str, ...]
    """Names of the discrete actions, or of the components of a continuous one."""
    presets: Mapping[str, Mapping[str, Any]]
    """Preset name -> fields of `TrainConfig` that differ from the defaults."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of `gymnasium.make`."""
    extra: Extra | None = None
    """What must be installed in addition to this project's own dependencies."""
    wrap: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None
    """Puts wrappers around the made environment; imports what it needs when it is called."""
    fresh_each_episode: bool = False
    """Whether every episode needs a newly made environment, because a reset leaves something of the last episode in it:
    a generator's state and the actions since would not lead back to the same state."""
    state: StateAccess | None = None
    """None: only the generator's state and the actions of the episode lead back to a state."""
    draw_afresh: Callable[[gym.Env[Any, Any]], None] | None = None
    """Puts back what a drawing leaves behind for the next one, where it does, so that equal states look the same."""
    layout: Layout | None = None
    """How its states lie on a map, in an entry of the catalogue; see `layout_in`."""
    spec: EnvironmentSpec | None = None
    """What runs keep of it; None of an entry of the catalogue, which its name says."""

    def make(self) -> gym.Env[Any, Any]:
        """A new environment.

        Raises:
            BadInputError: the package that it needs is not installed, or it can't be made; the message says what would help.
        """
        env = self.bare()
        return env if self.spec is None else Fitted(env, self.name)

    def bare(self) -> gym.Env[Any, Any]:
        """A new environment as it comes, with spaces of its own. Errors as `make`."""
        if self.extra is not None:
            try:
                self.extra.load()
            except ImportError as error:
                raise BadInputError(
                    f"{self.name} needs {self.extra.package}; install it with: "
                    f"pip install 'snapshot-influence[{self.extra.name}]'"
                ) from error
        try:
            env = gym.make(self.gym_id, disable_env_checker=True, **self.options)
        except gym.error.DependencyNotInstalled as error:
            raise BadInputError(f"{self.name} can't be made: {str(error).splitlines()[0]}") from error
        return env if self.wrap is None else self.wrap(env)

    def renewed(self, env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
        """What the next episode is to begin in: `env`, or a new one in its place (see `fresh_each_episode`)."""
        if not self.fresh_each_episode:
            return env
        env.close()
        return self.make()

    def access(self, env: gym.Env[Any, Any]) -> StateAccess | None:
        """How to reach the state of `env`: as the catalogue says, else by its own attribute `state_access`; None: not at all.

        Raises:
            BadInputError: the attribute is something else.
        """
        if self.spec is None:
            return self.state
        found = getattr(env.unwrapped, "state_access", None)
        if not isinstance(found, StateAccess | None):
            raise BadInputError(
                f"state_access of {self.name} is {type(found).__name__}; it must be an engine.StateAccess"
            )
        return found

    def layout_in(self, env: gym.Env[Any, Any]) -> Layout | None:
        """How the states of `env` lie on a map: as the catalogue says, else as Gymnasium's own grids do; None: not at all."""
        return self.layout if self.spec is None else layout_of(env)

    def put(self, env: gym.Env[Any, Any], state: tuple[Any, ...], elapsed: int) -> None:
        """Put a state that was read by `access` into `env`, `elapsed` steps after its reset."""
        access = self.access(env)
        assert access is not None
        access.write(env, state)
        if env.has_wrapper_attr(_ELAPSED):
            env.set_wrapper_attr(_ELAPSED, elapsed)

    def spaces(self) -> tuple[Space, Space]:
        """Observation space and action space, with names."""
        env = self.bare()
        try:
            names = (self.observation_names, self.action_names) if self.spec is None else own_names(env)
            return (
                described(env.observation_space, names[0], "observation"),
                described(env.action_space, names[1], "action"),
            )
        finally:
            env.close()

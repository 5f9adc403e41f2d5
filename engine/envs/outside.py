"""Environments outside the catalogue: any id that Gymnasium has registered, and what the function of `--make` returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import find_highest_version, parse_env_id

from engine.allowed import allowed
from engine.environment_spec import IDENTIFIER, MOST_WRAPPERS, EnvironmentSpec, plain_arguments
from engine.envs.environment import Environment
from engine.errors import BadInputError

ALWAYS_THERE = ("PassiveEnvChecker", "OrderEnforcing", "TimeLimit")
"""Wrappers that `gymnasium.make` puts around an environment by itself."""


@dataclass(frozen=True, kw_only=True)
class Registered(Environment):
    """An environment that Gymnasium knows by its id. It is plain data, which workers can be handed."""

    spec: EnvironmentSpec

    def bare(self) -> gym.Env[Any, Any]:
        """What `gymnasium.make` returns."""
        return _one_line(
            lambda: gym.make(self.gym_id, disable_env_checker=True, **self.options), f"{self.name} can't be made"
        )


@dataclass(frozen=True, kw_only=True)
class Made(Environment):
    """What the function returns that the person at the keyboard names with `--make`."""

    spec: EnvironmentSpec

    def bare(self) -> gym.Env[Any, Any]:
        """What the function returns now."""
        return _made(allowed().make)


def registered(spec: EnvironmentSpec) -> Registered:
    """The environment of a specification whose id Gymnasium knows."""
    return Registered(
        name=spec.id,
        gym_id=spec.id,
        description="registered with Gymnasium",
        observation_names=(),
        action_names=(),
        presets={},
        options={name: value for name, value in spec.kwargs.items() if name != "render_mode"},  # no window is opened
        fresh_each_episode=spec.repeats == "fresh",
        spec=spec,
    )


def made(spec: EnvironmentSpec) -> Made:
    """What the function of `--make` returns, where a run says that specification of it."""
    return Made(
        name=spec.id,
        gym_id=spec.id,
        description=f"made by {allowed().make}",
        observation_names=(),
        action_names=(),
        presets={},
        fresh_each_episode=spec.repeats == "fresh",
        spec=spec,
    )


def named_by_make() -> Made | None:
    """What the function of `--make` returns; None where none is named.

    Raises:
        BadInputError: it fails, or returns no environment.
    """
    return made(_spec_of_made(allowed().make, allowed().function())) if allowed().make else None


def registered_as(name: str) -> Registered | None:
    """The environment that Gymnasium has registered as `name`, or the newest one called that and a version.

    Raises:
        BadInputError: there is a newer version of it.
    """
    if name not in gym.registry:
        versions = [known for known in gym.registry if re.fullmatch(re.escape(name) + r"-v\d+", known)]
        if not versions:
            return None
        name = max(versions, key=lambda known: int(known.rpartition("-v")[2]))
    namespace, base, version = parse_env_id(name)
    newest = find_highest_version(namespace, base)
    if version is not None and newest is not None and newest > version:
        newer = name.removesuffix(str(version)) + str(newest)
        raise BadInputError(
            f"{name} is out of date; did you mean {newer!r}? The old one is trained by a function that makes it: --make"
        )
    said = gym.registry[name]
    return registered(EnvironmentSpec(name, plain_arguments(said.kwargs), _named(reversed(said.additional_wrappers))))


def _named(wrappers: Iterable[Any]) -> tuple[str, ...]:
    """What wrappers are called, as far as a run keeps it."""
    names = (wrapper.name for wrapper in wrappers)
    return tuple(name for name in names if re.fullmatch(IDENTIFIER, name))[:MOST_WRAPPERS]


def _one_line(make: Callable[[], Any], problem: str) -> Any:
    """What `make` returns.

    Raises:
        BadInputError: it fails in whatever way.
    """
    try:
        return make()
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise BadInputError(f"{problem}: {why[:300]}") from error


def _made(factory: str) -> gym.Env[Any, Any]:
    found = _one_line(allowed().function(), f"--make {factory} fails")
    if not isinstance(found, gym.Env):
        raise BadInputError(
            f"--make {factory} returns {type(found).__name__}; it must return an environment (gymnasium.Env)"
        )
    return found


@cache
def _spec_of_made(factory: str, _function: Callable[[], Any]) -> EnvironmentSpec:
    env = _made(factory)
    try:
        return spec_of(env, factory)
    finally:
        env.close()


def spec_of(env: gym.Env[Any, Any], factory: str = "") -> EnvironmentSpec:
    """What a run keeps of an environment.

    Args:
        env: it, with its wrappers.
        factory: what made it, where Gymnasium did not.
    """
    wrappers, inner, said = [], env, env.spec
    while isinstance(inner, gym.Wrapper):
        name = type(inner).__name__
        if name not in ALWAYS_THERE and re.fullmatch(IDENTIFIER, name):
            wrappers.append(name)
        inner = inner.env
    if said is None:
        return EnvironmentSpec(type(inner).__name__, wrappers=tuple(wrappers[:MOST_WRAPPERS]), factory=factory)
    arguments = {name: value for name, value in said.kwargs.items() if name != "render_mode"}
    known = gym.registry.get(said.id)
    if known is not None and said.max_episode_steps != known.max_episode_steps:
        arguments["max_episode_steps"] = -1 if said.max_episode_steps is None else said.max_episode_steps
    return EnvironmentSpec(said.id, plain_arguments(arguments), tuple(wrappers[:MOST_WRAPPERS]), factory)

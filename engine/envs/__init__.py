"""Environments by name: the catalogue, and any other. Nothing else in the engine knows one of them in particular."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from engine.allowed import allowed
from engine.config import TrainConfig
from engine.environment_spec import EnvironmentSpec
from engine.envs.catalogue import CATALOGUE
from engine.envs.environment import Environment, Extra
from engine.envs.layout import Layout, Place
from engine.envs.outside import made, named_by_make, registered, registered_as
from engine.errors import BadInputError

__all__ = ["CATALOGUE", "Environment", "Extra", "Layout", "Place"]
__all__ += ["find", "named_by_make", "preset", "recorded", "trainable", "with_settings"]


def find(name: str) -> Environment:
    """The catalogue entry called `name`, or the only one called that and a version.

    >>> find("LunarLander").name
    'LunarLander-v3'

    Raises:
        BadInputError: there is none; the message names the nearest ones. No other module is ever imported.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    versions = [known for known in CATALOGUE if re.fullmatch(re.escape(name) + r"-v\d+", known)]
    if len(versions) == 1:
        return CATALOGUE[versions[0]]
    near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? The" if near else "the"
    raise BadInputError(f"unknown environment {name!r}; {hint} catalogue has {', '.join(CATALOGUE)}")


def trainable(name: str) -> Environment:
    """What is trained under a name: what the function of `--make` returns, the catalogue's entry, or what Gymnasium knows.

    >>> trainable("MountainCar-v0").spec.id
    'MountainCar-v0'

    Args:
        name: an id. What `--make` names returns an environment of the id, or is itself given as the name.

    Raises:
        BadInputError: there is none, or it is out of date. No module is ever imported for the sake of a name.
    """
    named = named_by_make()
    if named is not None and name in (named.name, allowed().make):
        return named
    if ":" in name:
        raise BadInputError(
            f"unknown environment {name!r}; an id has no colon: make a package of yours known by --import"
        )
    try:
        return find(name)
    except BadInputError as error:
        found = registered_as(name)
        if found is not None:
            return found
        near = difflib.get_close_matches(name, [*CATALOGUE, *gym.registry], n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}? The" if near else "the"
        raise BadInputError(
            f"unknown environment {name!r}; {hint} catalogue has {', '.join(CATALOGUE)}; beyond it every id that is registered "
            "with Gymnasium can be trained, those of your own package with --import"
        ) from error


def recorded(env_id: str, spec: EnvironmentSpec | None) -> list[Environment]:
    """What a recorded run may have been played in, the likeliest first: never a namesake in the catalogue.

    Args:
        env_id: what the run calls it.
        spec: what the run keeps of it; None: it is an entry of the catalogue.

    Raises:
        BadInputError: it is in the catalogue, which does not have it.
    """
    if spec is None:
        return [find(env_id)]
    by_itself = spec.id in gym.registry and not (spec.factory and spec.wrappers)
    return [*([registered(spec)] if by_itself else []), *([made(spec)] if allowed().make else [])]


def preset(env_id: str, name: str | None = None, **overrides: Any) -> TrainConfig:
    """Settings for an environment: the preset's, with `overrides` on top.

    >>> preset("FrozenLake-v1", "paper", rounds=3).optimizer
    'sgd'

    Args:
        env_id: the environment's name.
        name: of the preset; by default `tuned` where there is one, else `default`.
        overrides: fields of `TrainConfig`.

    Raises:
        BadInputError: unknown environment, preset or field.
    """
    return with_settings(env_id, name, overrides)


def with_settings(env_id: str, preset_name: str | None, settings: Mapping[str, Any]) -> TrainConfig:
    """`preset`, with the settings as a mapping."""
    entry = trainable(env_id)
    presets = entry.presets if entry.spec is None else _general_presets(entry)
    if preset_name is None:
        preset_name = "tuned" if "tuned" in presets else "default"
    if preset_name not in presets:
        raise BadInputError(f"{entry.name} has no preset {preset_name!r}; it has {', '.join(presets)}")
    if "env_id" in settings:
        raise BadInputError("env_id is not a setting; name the environment itself")
    return TrainConfig.from_json({"env_id": entry.name, **presets[preset_name], **settings})


def _general_presets(entry: Environment) -> Mapping[str, Mapping[str, Any]]:
    """Those of an environment outside the catalogue; images need the torch path."""
    fields = {"path": "torch"} if entry.spaces()[0].encoder == "image" else {}
    return {"default": fields, "v0.1": fields}

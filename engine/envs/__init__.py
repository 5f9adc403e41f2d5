"""Environments by name. Nothing else in the engine knows one of them in particular."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from engine.config import TrainConfig
from engine.envs.catalogue import CATALOGUE
from engine.envs.environment import Environment, Extra
from engine.envs.layout import Layout, Place
from engine.errors import BadInputError

__all__ = ["CATALOGUE", "DEFAULT_PRESET", "Environment", "Extra", "Layout", "Place", "find", "preset", "with_settings"]

DEFAULT_PRESET = "paper"


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


def preset(env_id: str, name: str = DEFAULT_PRESET, **overrides: Any) -> TrainConfig:
    """Settings for an environment: the preset's, with `overrides` on top.

    >>> preset("FrozenLake-v1", rounds=3).optimizer
    'sgd'

    Raises:
        BadInputError: unknown environment, preset or field.
    """
    return with_settings(env_id, name, overrides)


def with_settings(env_id: str, preset_name: str, settings: Mapping[str, Any]) -> TrainConfig:
    """`preset`, with the settings as a mapping."""
    entry = find(env_id)
    if preset_name not in entry.presets:
        raise BadInputError(f"{entry.name} has no preset {preset_name!r}; it has {', '.join(entry.presets)}")
    if "env_id" in settings:
        raise BadInputError("env_id is not a setting; name the environment itself")
    return TrainConfig.from_json({"env_id": entry.name, **entry.presets[preset_name], **settings})

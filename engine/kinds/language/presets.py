"""Settings to start from: those of a named world, and those of real models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from engine.config import LANGUAGE, TrainConfig
from engine.config_language import LanguageConfig
from engine.errors import BadInputError
from engine.kinds.language.named import find_world
from engine.named_worlds import names as worlds

MODELS: Mapping[str, Any] = {
    "env_id": "language",
    "path": "torch",
    "n_steps": 256,
    "batch_size": 64,
    "n_epochs": 4,
    "learning_rate": 1e-5,
    "gamma": 1.0,
    "gae_lambda": 0.95,
    "vf_coef": 0.1,
    "max_grad_norm": 1.0,
    "drop": 1.0,
    "max_new_tokens": 32,
    "kl_coef": 0.04,
    "kl_target": 6.0,
}
"""Models by name or path: the settings of the paper's detoxification, where it names them."""


@dataclass(frozen=True)
class LanguageSettings:
    """What a training of a language model is told; it can be taken apart as `config, language = settings`."""

    language: LanguageConfig
    """Models, prompts, and how sequences are made."""
    config: TrainConfig
    """Settings that all runs have."""
    kind: ClassVar[str] = "language"

    def __iter__(self) -> Iterator[Any]:
        return iter((self.config, self.language))


def language_settings(kind: str, changes: Mapping[str, Any]) -> LanguageSettings:
    """The settings of a run, with `changes` on top; they go to whichever of the two has the field.

    >>> config, language = language_settings("courtesy", {"rounds": 3, "kl_coef": 0.2})
    >>> config.rounds, language.kl_coef
    (3, 0.2)

    Raises:
        BadInputError: there is no such kind, or a field is unknown, missing or out of range.
    """
    world = find_world(kind)
    if world is None and kind != LANGUAGE:
        raise BadInputError(
            f"{kind!r} is nothing to train; say {' or '.join(worlds())}, or name models with --policy and --reward"
        )
    preset = MODELS if world is None else world.settings
    values = {**preset, **changes, "env_id": kind}
    if values.get("algorithm") == "grpo":
        values = {"group_size": 8, **values}
    own = {field.name for field in fields(LanguageConfig)}
    shared = {field.name for field in fields(TrainConfig)}
    unknown = sorted(values.keys() - own - shared)
    if unknown:
        raise BadInputError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(own | shared))}")
    config = TrainConfig.from_json({name: value for name, value in values.items() if name in shared})
    language = LanguageConfig.from_json({name: value for name, value in values.items() if name in own})
    return LanguageSettings(language, config)

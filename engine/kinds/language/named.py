"""What a name may stand for in the settings, in the place of a model's name or a file's path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.config_language import LanguageConfig
from engine.kinds.language.reward_model import RewardModel
from engine.named_worlds import is_world, world_named


class NamedWorld(Protocol):
    """A policy, a reward and prompts under one name; `engine.named_worlds.register` makes it known."""

    settings: Mapping[str, Any]
    """The settings of a run in it, in which it differs from the defaults of `TrainConfig` and `LanguageConfig`."""

    def policy(self) -> Path:
        """Folder of the causal language model before training and of its tokenizer, as `save_pretrained` makes it."""
        ...

    def reward(self, language: LanguageConfig, received: bool) -> RewardModel:
        """The reward as the settings want it; `sources.pretrained` says what `received` means."""
        ...

    def prompts(self, rng: np.random.Generator, n: int) -> list[str]:
        """`n` prompts, drawn with replacement."""
        ...


def find_world(name: str) -> NamedWorld | None:
    """The world of that name; None where it is a model's name or a path."""
    return world_named(name) if is_world(name) else None

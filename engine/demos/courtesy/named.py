"""What the name `courtesy` stands for in the settings of a language model's run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.config_language import LanguageConfig
from engine.demos.courtesy import settings
from engine.demos.courtesy.rewards import JudgedRewards
from engine.demos.courtesy.world import build_world
from engine.kinds.language.reward_model import RewardModel
from engine.kinds.language.rewards import Classifier


class Courtesy:
    """An `engine.kinds.language.named.NamedWorld`, trained where it is not there yet."""

    settings: Mapping[str, Any] = {**settings.TRAINING, **settings.LANGUAGE}

    def policy(self) -> Path:
        """Folder of the policy before training."""
        return build_world().policy

    def reward(self, language: LanguageConfig, received: bool) -> RewardModel:
        """The learned reward, judged."""
        return JudgedRewards(Classifier(str(build_world().reward), language.reward_label, received))

    def prompts(self, rng: np.random.Generator, n: int) -> list[str]:
        """From the grammar, with replacement."""
        return build_world().prompts(rng, n)


COURTESY = Courtesy()

"""The demonstration's reward, as it is recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.demos.courtesy.judge import rude
from engine.kinds.language.reward_model import RewardModel
from engine.store.snapshot import Float32s


class JudgedRewards:
    """A reward, with what the independent judge says beside it: `judge` is 1 for a rude response."""

    def __init__(self, reward: RewardModel) -> None:
        self.reward = reward

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> dict[str, Float32s]:
        """`reward` and `judge`."""
        return {**self.reward.score(prompts, responses), "judge": rude(responses).astype(np.float32)}

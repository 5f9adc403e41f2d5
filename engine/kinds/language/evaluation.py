"""How good a language model's policy is: the rewards of its responses to held-out prompts, answered with the same luck."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.core.evaluation import EVALUATION_SEED
from engine.kinds.language.collect import RolloutContext
from engine.kinds.language.models import check_base, recorded_tokenizer
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.reward_model import RewardModel
from engine.kinds.language.rewards import make_reward
from engine.kinds.language.sequences import LanguageSnapshot


class Answers:
    """`core.evaluation.PolicyEvaluation` by responses; their return is the reward, without planted faults."""

    def __init__(self, snapshot: LanguageSnapshot, reward_model: RewardModel | None = None) -> None:
        """Load what rewards them.

        Args:
            snapshot: round k.
            reward_model: in the place of the one that the run's settings name.

        Raises:
            BadInputError: a model can't be loaded.
        """
        check_base(snapshot.language, snapshot.named_here)
        judge = reward_model or make_reward(snapshot.language, received=not snapshot.named_here)
        tokenizer = recorded_tokenizer(snapshot.path or Path())
        self.context = RolloutContext(snapshot.config, snapshot.language, tokenizer, judge, None)
        self.prompts = list(dict.fromkeys((snapshot.validation or snapshot.buffer).prompt))
        """The held-out ones, or the round's own."""

    def returns(
        self, player: LanguagePolicy, block: int, episodes: int, check: Callable[[], None] | None = None
    ) -> NDArray[np.float64]:
        """(episodes,) rewards of one response each, to the prompts in turn."""
        prompts = [self.prompts[(block * episodes + i) % len(self.prompts)] for i in range(episodes)]
        luck = np.random.default_rng([EVALUATION_SEED, block])
        return self.context.rewards(player, prompts, luck).astype(np.float64)

    def close(self) -> None:
        """There is nothing to let go of."""

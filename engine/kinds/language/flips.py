"""Planted faults: rewards whose sign is turned, so that what influence finds can be compared with what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.kinds.language.reward_model import RewardModel
from engine.kinds.language.rewards import check_rewards
from engine.store.snapshot import Float32s


@dataclass(frozen=True)
class FlippedRewards:
    """A reward model with planted faults, for training alone: what judges or validates asks `reward` itself."""

    reward: RewardModel
    share: float
    """Of the responses that are scored together."""
    rng: np.random.Generator
    """Chooses them."""

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> dict[str, Float32s]:
        """What the model says, `reward` with its flips; `model` is it without them, and `flipped` is 1 where it is flipped.

        Raises:
            BadNumberError: a reward is not finite.
        """
        scores = self.reward.score(prompts, responses)
        check_rewards(scores, len(prompts))
        model = np.asarray(scores["reward"], np.float32)
        reward, flipped = flip_signs(model, self.share, self.rng)
        return {**scores, "reward": reward, "model": model, "flipped": flipped.astype(np.float32)}


def flip_signs(
    reward: NDArray[np.float32], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Negate the rewards of a random `share` of the records.

    Args:
        reward: (n,) of a round's records.
        share: in [0, 1]; round(share * n) records are chosen, each as likely. 0 draws nothing from `rng`.
        rng: draws them.

    Returns:
        The (n,) rewards that training sees, and (n,) which of them are flipped.
    """
    flipped = np.zeros(len(reward), bool)
    if share:
        flipped[rng.choice(len(reward), round(share * len(reward)), replace=False)] = True
    return np.where(flipped, -reward, reward), flipped

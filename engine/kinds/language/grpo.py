"""Group-relative advantages: GRPO compares a response with the others to the same prompt (Shao et al. 2024)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from engine.kinds.language.objective import Normalizer

EPSILON = 1e-4
"""Added to a group's standard deviation."""


def group_advantages(
    reward: ArrayLike, group: ArrayLike, kept: ArrayLike | None = None, normalizer: Normalizer = "grpo"
) -> NDArray[np.float64]:
    """(R_i - mean) / (standard deviation + eps) within each group; with `dr_grpo` without the division.

    A removed response is one that was never sampled: mean and (unbiased) standard deviation are those of the others. Rewards
    [0, 1, 1, 4] of one group without the last -> [-2/3, 1/3, 1/3, 0] with `dr_grpo`.

    Args:
        reward: (n,) of each response.
        group: (n,) number of its prompt.
        kept: (n,) False for responses that are left out; None: all are in.
        normalizer: of the objective that they are for.

    Returns:
        (n,) 0 for responses that are left out, and in groups whose rewards are all equal.
    """
    rewards, groups = np.asarray(reward, np.float64), np.asarray(group)
    left = np.ones(len(rewards), bool) if kept is None else np.asarray(kept, bool)
    advantage = np.zeros(len(rewards))
    for number in np.unique(groups):
        members = np.flatnonzero((groups == number) & left)
        if len(members) > 1:
            advantage[members] = _relative(rewards[members], normalizer)
    return advantage


class WeightedGroups:
    """Advantages as a function of how often each response counts: one of weight 2 is there twice, one of weight 0 not at all."""

    def __init__(self, reward: ArrayLike, group: ArrayLike, kept: ArrayLike, normalizer: Normalizer = "grpo") -> None:
        """Arguments as `group_advantages`."""
        self.reward = torch.as_tensor(np.asarray(reward, np.float64))
        self.index = torch.as_tensor(np.unique(np.asarray(group), return_inverse=True)[1].ravel())
        self.kept, self.normalizer = torch.as_tensor(np.asarray(kept, bool)), normalizer
        rewards, groups = np.asarray(reward, np.float64), np.asarray(group)
        self.no_signal = torch.as_tensor(
            without_signal(rewards, groups, np.asarray(kept, bool)) | ~np.asarray(kept, bool)
        )

    def advantages(self, weights: Tensor) -> Tensor:
        """(n,) weights -> (n,) (R_i - weighted mean) / (weighted standard deviation + eps) within each group.

        With weights of 0 and 1 they are `group_advantages` of those of weight 1. The standard deviation is unbiased: weights
        count responses; those that count no more than one of them have nothing to be compared with. Rewards [0, 1, 4] of one
        group with weights [1, 1, 0] -> [-.5, .5, 3.5] with `dr_grpo`.
        """
        times = weights.double().cpu() * self.kept
        total = self._summed(times)
        mean = self._summed(times * self.reward) / total.where(total > 0, 1)
        centred = self.reward - mean[self.index]
        if self.normalizer != "dr_grpo":
            variance = self._summed(times * centred * centred) / (total - 1).where(total > 1, 1)
            # The root has no slope at 0; a group of as much as one response, or of equal ones, has no spread to move.
            sound = (total > 1) & (variance > 0)
            spread = variance.where(sound, 1).sqrt() * sound
            centred = (centred / (spread[self.index] + EPSILON)).where(total[self.index] > 1, 0)
        return centred.where(~self.no_signal, 0).to(weights.device)

    def _summed(self, values: Tensor) -> Tensor:
        """(n,) -> (groups,) sums."""
        groups = int(self.index.max()) + 1 if len(self.index) else 0
        return torch.zeros(groups, dtype=torch.float64).index_add(0, self.index, values)


class Comparison(NamedTuple):
    """One group of kept responses, and what their advantages become without each of them."""

    members: NDArray[np.intp]
    """(G,) record numbers."""
    advantage: NDArray[np.float64]
    """(G,) where all of them are there."""
    without: NDArray[np.float64]
    """(G, G): in row k and column i the advantage of member k where member i was never sampled; 0 on the diagonal."""


def leave_one_out(
    reward: ArrayLike, group: ArrayLike, kept: ArrayLike, normalizer: Normalizer = "grpo"
) -> list[Comparison]:
    """Every group with the advantages that are left without one of its members; arguments as `group_advantages`.

    Rewards [0, 1, 5] of one group with `dr_grpo` -> rows [0, -2.5, -.5], [-2, 0, .5], [2, 2.5, 0].
    """
    rewards, groups, left = np.asarray(reward, np.float64), np.asarray(group), np.asarray(kept, bool)
    found = []
    for number in np.unique(groups[left]):
        members = np.flatnonzero((groups == number) & left)
        own, one = rewards[members], np.zeros(len(members))
        columns = [group_advantages(own, one, present, normalizer) for present in ~np.eye(len(own), dtype=bool)]
        found.append(Comparison(members, group_advantages(own, one, None, normalizer), np.stack(columns, axis=1)))
    return found


def _relative(rewards: NDArray[np.float64], normalizer: Normalizer) -> NDArray[np.float64]:
    if (rewards == rewards[0]).all():
        return np.zeros_like(rewards)
    centred = rewards - rewards.mean()
    return centred if normalizer == "dr_grpo" else centred / (rewards.std(ddof=1) + EPSILON)


def without_signal(reward: ArrayLike, group: ArrayLike, kept: ArrayLike | None = None) -> NDArray[np.bool_]:
    """(n,) True in groups whose (kept) rewards are all equal: such a group says nothing about which response is better."""
    rewards, groups = np.asarray(reward), np.asarray(group)
    left = np.ones(len(rewards), bool) if kept is None else np.asarray(kept, bool)
    nothing = np.ones(len(rewards), bool)
    for number in np.unique(groups):
        found = rewards[(groups == number) & left]
        nothing[groups == number] = len(found) < 2 or bool((found == found[0]).all())
    return nothing

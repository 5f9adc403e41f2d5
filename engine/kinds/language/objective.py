"""The objective of a minibatch of sequences: PPO's terms for every token, and how tokens are averaged.

The terms themselves are `engine.core.objective.objective`'s. A minibatch's objective is sum_it share_it * J_it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.config import TrainConfig
from engine.core.objective import Batch, Objective
from engine.kinds.language.policy import PAD, LanguagePolicy

Normalizer = Literal["token", "grpo", "dr_grpo", "dapo"]


class Groups(Protocol):
    """What GRPO compares, see `grpo.WeightedGroups`."""

    def advantages(self, weights: Tensor) -> Tensor:
        """(n,) weights -> (n,) advantages; differentiable."""
        ...


def token_batch(
    policy: LanguagePolicy,
    ids: NDArray[Any],
    mask: NDArray[np.bool_],
    *,
    log_prob: NDArray[np.floating],
    advantage: NDArray[np.floating],
    returns: NDArray[np.floating],
    kept: NDArray[np.bool_],
) -> Batch:
    """Columns of n padded sequences as tensors.

    Args:
        policy: whose device and precision they get.
        ids: (n, L) tokens, `PAD` after the last.
        mask: (n, L) True for response tokens; no sequence begins with one.
        log_prob: (n, L) at collection.
        advantage: (n, L) raw.
        returns: (n, L)
        kept: (n,) False for sequences that the update goes without.

    Returns:
        Columns of shape (n, T), T = L - 1, 0 where there is no response token; `kept` has shape (n,).
    """

    def column(values: NDArray[np.floating]) -> Tensor:
        return torch.as_tensor(np.where(mask, values, 0)[:, 1:], dtype=policy.dtype, device=policy.device)

    return Batch(
        inputs=policy.encode(ids),
        action=policy.actions(ids, mask),
        log_prob=column(log_prob),
        advantage=column(advantage),
        returns=column(returns),
        kept=torch.as_tensor(kept, device=policy.device),
    )


def trimmed(part: Batch) -> Batch:
    """The same sequences without the columns that are padding for all of them."""
    used = (part.action != PAD).any(0).nonzero()
    length = int(used[-1]) + 1 if len(used) else 1
    return Batch(*(column if column.dim() == 1 else column[:, :length] for column in part))


def shares(part: Batch, normalizer: Normalizer, max_new_tokens: int, weights: Tensor | None = None) -> Tensor:
    """(n, 1) share that each token of a sequence has in the minibatch's objective; 0 for sequences that are not kept.

    | normalizer | share | |
    |---|---|---|
    | `token`, `dapo` | 1 / tokens of the minibatch | every token counts the same (PPO; Yu et al. 2025) |
    | `grpo` | 1 / (its sequence's length * sequences) | every sequence counts the same (Shao et al. 2024) |
    | `dr_grpo` | 1 / (max_new_tokens * sequences) | long sequences count more (Liu et al. 2025) |

    Two kept sequences of 1 and 3 tokens: `token` 1/4 and 1/4, `grpo` 1/2 and 1/6, `dr_grpo` with 5 tokens 1/10 and 1/10.

    Weights (n,) count sequences: one of weight 2 is there twice, one of weight 0 not at all. That of a sequence alone in its
    minibatch changes nothing.
    """
    times = part.kept.to(part.advantage.dtype)
    if weights is not None:
        times = times * weights
    lengths = (part.action != PAD).sum(1).clamp(min=1)
    match normalizer:
        case "token" | "dapo":
            whole = (lengths * times).sum()
        case "grpo":
            whole = lengths * times.sum()
        case "dr_grpo":
            whole = max_new_tokens * times.sum()
    return (times / whole.where(whole > 0, 1))[:, None]


@dataclass(frozen=True)
class TokenObjective:
    """`core.objective.MinibatchObjective` of sequences: every token has a share, and GRPO compares with the others of a group.

    PPO's advantages were normalised over the round when it was collected; a removal leaves them as they are. GRPO's are
    those of the group as it is weighted: where a record's weight goes to 0, it is as if it had never been sampled.
    """

    config: TrainConfig
    normalizer: Normalizer
    max_new_tokens: int
    groups: Groups | None = None
    """What GRPO compares; None for PPO."""

    @property
    def of_record(self) -> TrainConfig:
        """PPO's terms, of every token."""
        return self.config

    def take(self, batch: Batch, records: Tensor, weights: Tensor | None = None) -> Batch:
        """The sequences of a minibatch, without columns that are padding for all of them."""
        part = batch.take(records)
        if weights is not None and self.groups is not None:
            advantage = self.groups.advantages(weights[0])[records][:, None].to(part.advantage.dtype)
            part = part._replace(advantage=advantage * (part.action != PAD))
        return trimmed(part)

    def mean(self, terms: Objective, part: Batch, weights: Tensor | None = None) -> Tensor:
        """sum_it share_it * J_it."""
        if weights is None:
            return (terms.total() * self._shares(part)).sum()
        return torch.stack([(term * self._shares(part, w)).sum() for term, w in zip(terms, weights, strict=True)]).sum()

    def at_start(self, batch: Batch, minibatches: NDArray[np.int32]) -> Batch:
        """As it is: nothing is normalised by minibatch."""
        return batch

    def each(self, terms: Objective, batch: Batch) -> Tensor:
        """(n,) the sum over a sequence's tokens, times the number of sequences."""
        return (terms.total() * self._shares(batch)).sum(1) * batch.kept.sum()

    def _shares(self, part: Batch, weights: Tensor | None = None) -> Tensor:
        return shares(part, self.normalizer, self.max_new_tokens, weights)

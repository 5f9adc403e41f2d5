"""The objective of a minibatch of sequences: PPO's terms for every token, and how tokens are averaged.

The terms themselves are `engine.core.objective.objective`'s. A minibatch's objective is sum_it share_it * J_it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.objective import Batch
from engine.kinds.language.policy import PAD, LanguagePolicy

Normalizer = Literal["token", "grpo", "dr_grpo", "dapo"]


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

    Weights (n,) count sequences: one of weight 2 is there twice, one of weight 0 not at all.
    """
    times = part.kept.to(part.advantage.dtype)
    if weights is not None:
        times = times * weights
    lengths = (part.action != PAD).sum(1).clamp(min=1)
    sequences = times.sum().clamp(min=1)
    match normalizer:
        case "token" | "dapo":
            share = times / (lengths * times).sum().clamp(min=1)
        case "grpo":
            share = times / (lengths * sequences)
        case "dr_grpo":
            share = times / (max_new_tokens * sequences)
    return share[:, None]

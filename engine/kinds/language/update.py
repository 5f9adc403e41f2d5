"""The update of a language model: minibatches of sequences, the clipped objective of every token, one step on their mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.core.objective import Batch, Objective, OnGradient, UpdateMetrics, flat, kept_rows, objective
from engine.core.policy import trained
from engine.kinds.language.advantages import totals
from engine.kinds.language.grpo import WeightedGroups
from engine.kinds.language.objective import Normalizer, shares, token_batch, trimmed
from engine.kinds.language.policy import PAD, LanguagePolicy
from engine.kinds.language.sampling import precision
from engine.kinds.language.sequences import SequenceBuffer


def normalizer_of(language: LanguageConfig) -> Normalizer:
    """How a minibatch's tokens are averaged: for PPO over all of them."""
    return language.normalizer if language.algorithm == "grpo" else "token"


def batch_of(policy: LanguagePolicy, buffer: SequenceBuffer) -> Batch:
    """The buffer's columns as padded tensors; advantages as stored."""
    return token_batch(
        policy,
        buffer.padded(buffer.token, PAD),
        buffer.padded(buffer.mask),
        log_prob=buffer.padded(buffer.log_prob),
        advantage=buffer.padded(buffer.advantage),
        returns=buffer.padded(buffer.returns),
        kept=buffer.kept,
    )


def compared(buffer: SequenceBuffer, language: LanguageConfig) -> WeightedGroups:
    """What GRPO compares in a round."""
    return WeightedGroups(totals(buffer), buffer.group, buffer.kept, language.normalizer)


def update(
    policy: LanguagePolicy,
    optimizer: torch.optim.Optimizer,
    buffer: SequenceBuffer,
    minibatches: NDArray[np.int32],
    config: TrainConfig,
    language: LanguageConfig,
    *,
    weights: NDArray[np.floating] | None = None,
    on_step: Callable[[], None] | None = None,
    on_gradient: OnGradient | None = None,
) -> UpdateMetrics:
    """One update, theta(k) -> theta(k+1), in place.

    Args:
        policy: holds theta(k); afterwards theta(k+1).
        optimizer: its state goes on.
        buffer: the whole round; records that are not kept are left out of their minibatches.
        minibatches: (n_epochs, n) permutations.
        config: settings that all PPO runs share.
        language: the others. A minibatch's gradient is summed up in `accumulation` parts; the outcome is that of one part,
            to rounding.
        weights: (n,) how often each record counts, in the means over its minibatches and in GRPO's groups; PPO's advantages
            stay as they are. None means all 1.
        on_step: called before every optimizer step; raise from it to cancel.
        on_gradient: watches every optimizer step, as in `core.update.update`; it changes nothing.

    Returns:
        Means over the steps taken, of means over tokens.
    """
    batch = batch_of(policy, buffer)
    if weights is not None and language.algorithm == "grpo":
        advantage = compared(buffer, language).advantages(torch.as_tensor(np.asarray(weights, np.float64)))
        batch = batch._replace(advantage=advantage.to(batch.advantage)[:, None] * (batch.action != PAD))
    parameters = list(trained(policy).values())
    means: list[Tensor] = []
    for order in minibatches:
        for start, stop, rows in kept_rows(order, config, buffer.kept):
            if on_step is not None:
                on_step()
            records = order[start:stop] if rows is None else order[start:stop][rows]
            part = trimmed(batch.take(torch.as_tensor(records.astype(np.int64), device=policy.device)))
            times = None if weights is None else torch.as_tensor(weights[records]).to(part.advantage)
            share = shares(part, normalizer_of(language), language.max_new_tokens, times)
            optimizer.zero_grad()
            watched = torch.zeros(5, device=policy.device)
            bounds = np.linspace(0, len(records), min(language.accumulation, len(records)) + 1).astype(int)
            for low, high in pairwise(bounds.tolist()):
                piece = part.part(low, high)
                with precision(language, policy.device):
                    evaluation = policy(piece.inputs, piece.action)
                terms = objective(evaluation, piece, config)
                (terms.total() * share[low:high]).sum().neg().backward()
                watched += _watch(evaluation.log_prob.detach(), evaluation.entropy.detach(), terms, piece, config)
            watched /= (part.action != PAD).sum().clamp(min=1)
            if config.target_kl is not None and watched[3] > 1.5 * config.target_kl:
                return _means(means, config)
            if on_gradient is not None:
                on_gradient(records, *flat(parameters))
            norm = nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            optimizer.step()
            means.append(torch.cat([watched, norm.detach().reshape(1)]))
    return _means(means, config)


@torch.no_grad()
def _watch(log_prob: Tensor, entropy: Tensor, terms: Objective, piece: Batch, config: TrainConfig) -> Tensor:
    """Sums over response tokens: loss of the policy, of the value, entropy, approximate KL, and how many are clipped."""
    tokens = piece.action != PAD
    log_ratio = (log_prob - piece.log_prob)[tokens]
    ratio = log_ratio.exp()
    clipped = ((ratio - 1).abs() > config.clip_range).float()
    sums = -terms.actor.sum(), -terms.critic.sum(), entropy.sum(), (ratio - 1 - log_ratio).sum(), clipped.sum()
    return torch.stack([value.float() for value in sums])


def _means(means: list[Tensor], config: TrainConfig) -> UpdateMetrics:
    row: list[Any] = torch.stack(means).mean(0).tolist() if means else [math.nan] * 6
    loss, value, entropy, approx_kl, clip_fraction, norm = row
    value_loss = value / config.vf_coef if config.vf_coef else math.nan
    return UpdateMetrics(loss, value_loss, entropy, approx_kl, clip_fraction, norm, len(means))

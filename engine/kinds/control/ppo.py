"""The PPO update: the per-record objective, and the loop over epochs and minibatches.

Reads as the paper does: J_i = min(r_i A_i, clip(r_i, 1 - eps, 1 + eps) A_i) - c_v (V_i - R_i)^2 + c_e H_i, one ascent
step on the mean of J_i per minibatch (Schulman et al. 2017, eq. 9).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.config import TrainConfig
from engine.kinds.control.networks import Evaluation, Policy
from engine.kinds.control.snapshot import RolloutBuffer
from engine.store.snapshot import Float32s


class Batch(NamedTuple):
    """The columns of n records that the objective reads, as tensors.

    A record of a language model is a sequence: its columns have shape (n, T), one number a token, but for `kept`.
    """

    inputs: Tensor
    """(n, d) encoded observations."""
    action: Tensor
    """(n,) or (n, d)."""
    log_prob: Tensor
    """(n,) at collection."""
    advantage: Tensor
    """(n,) raw or normalised: the objective takes what it is given."""
    returns: Tensor
    """(n,)"""
    kept: Tensor
    """(n,) False: the record was dropped from the actor's loss, so its actor and entropy terms are 0."""

    def take(self, index: Tensor) -> Batch:
        """The records at `index`, in that order."""
        return Batch(*(column[index] for column in self))

    def part(self, start: int, stop: int) -> Batch:
        """The records start..stop-1, without a copy."""
        return Batch(*(column[start:stop] for column in self))


class Objective(NamedTuple):
    """J_i of n records, split into its three terms; their sum is what the update maximises."""

    actor: Tensor
    """(n,) clipped surrogate."""
    critic: Tensor
    """(n,) -vf_coef * (V - R)^2; 0 if the value was not evaluated."""
    entropy: Tensor
    """(n,) ent_coef * H."""

    def total(self) -> Tensor:
        """(n,) J_i."""
        return self.actor + self.critic + self.entropy


def as_batch(policy: Policy, buffer: RolloutBuffer) -> Batch:
    """The buffer's columns as tensors in the policy's precision."""
    dtype = policy.dtype
    action = torch.as_tensor(buffer.action)
    return Batch(
        inputs=policy.encode(buffer.observation),
        action=action.to(dtype) if action.is_floating_point() else action,
        log_prob=torch.as_tensor(buffer.log_prob).to(dtype),
        advantage=torch.as_tensor(buffer.advantage).to(dtype),
        returns=torch.as_tensor(buffer.returns).to(dtype),
        kept=torch.as_tensor(buffer.kept),
    )


def objective(evaluation: Evaluation, batch: Batch, config: TrainConfig) -> Objective:
    """The PPO objective of each record, or of each of its tokens (Schulman et al. 2017, eq. 7 and 9).

    `batch.advantage` must already be normalised if the update normalises.
    """
    ratio = (evaluation.log_prob - batch.log_prob).exp()
    clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
    surrogate = torch.minimum(ratio * batch.advantage, clipped * batch.advantage)
    value = evaluation.value
    critic = torch.zeros_like(surrogate) if value is None else -config.vf_coef * (value - batch.returns) ** 2
    kept = batch.kept.reshape(-1, *(1 for _ in surrogate.shape[1:]))
    actor, entropy = (term.where(kept, 0) for term in (surrogate, config.ent_coef * evaluation.entropy))
    return Objective(actor, critic, entropy)


def normalize(advantage: Tensor, weights: Tensor | None = None) -> Tensor:
    """(n,) -> (n,) with mean 0 and unbiased standard deviation 1; a single record is left as it is.

    Weights (n,) count records: a record of weight 2 is there twice.
    """
    if len(advantage) < 2:
        return advantage
    if weights is None:
        return (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    total = weights.sum()
    if total <= 1:  # not as much as one record
        return advantage
    deviation = advantage - (weights * advantage).sum() / total
    variance = (weights * deviation * deviation).sum() / (total - 1)
    # The root has no slope at 0; where all advantages are equal, none of them moves with a weight.
    spread = variance.where(variance > 0, 1).sqrt() * (variance > 0)
    return deviation / (spread + 1e-8)


def with_normalized_advantages(part: Batch, weights: Tensor | None = None) -> Batch:
    """A minibatch as its optimizer step sees it: advantages normalised over the records that the actor trains on."""
    advantage = part.advantage.clone()
    own = None if weights is None else weights[part.kept]
    advantage[part.kept] = normalize(advantage[part.kept], own)
    return part._replace(advantage=advantage)


def draw_minibatches(rng: np.random.Generator, n: int, n_epochs: int) -> NDArray[np.int32]:
    """(n_epochs, n): one permutation of all n records an epoch."""
    return np.stack([rng.permutation(n) for _ in range(n_epochs)]).astype(np.int32)


def make_optimizer(policy: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam (eps 1e-5) or SGD over all parameters."""
    if config.optimizer == "adam":
        return torch.optim.Adam(policy.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
    return torch.optim.SGD(policy.parameters(), lr=config.learning_rate, momentum=config.momentum, fused=True)


OnGradient = Callable[[NDArray[np.int32], NDArray[Any], NDArray[Any]], None]
"""Told of every optimizer step before it is taken: the numbers (b,) of the records in its minibatch, the parameters (p,)
and the loss's gradient (p,) before clipping. The vectors are flat, in the order of the policy's `named_parameters()`;
copy what you keep."""


@dataclass(frozen=True)
class UpdateMetrics:
    """Means over the optimizer steps of one update; names are Stable-Baselines3's."""

    policy_gradient_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    grad_norm: float
    """Global norm before clipping."""
    steps: int
    """Optimizer steps taken; fewer than planned if target_kl stopped the update."""


def update(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    minibatches: NDArray[np.int32],
    config: TrainConfig,
    *,
    critic_kept: NDArray[np.bool_] | None = None,
    weights: Tensor | None = None,
    on_step: Callable[[], None] | None = None,
    on_gradient: OnGradient | None = None,
) -> UpdateMetrics:
    """One PPO update, theta(k) -> theta(k+1), in place.

    A record that is in a minibatch but not `batch.kept` trains the critic alone: the means of the actor's terms and the
    normalisation of the advantages run over the kept records of the minibatch.

    Args:
        policy: holds theta(k); afterwards theta(k+1).
        optimizer: its state goes on.
        batch: the whole buffer, raw advantages.
        minibatches: (n_epochs, n) permutations.
        config: settings.
        critic_kept: (n,) False leaves a record out of its minibatches; the others stay where they are, and means and
            normalisation run over those that are left. None means that all are in.
        weights: (n,) how often each record counts, in the means over its minibatches and in the normalisation of their
            advantages: a record of weight 2 is as if in them twice, and as its weight goes to 0 it is as if left out. So a
            derivative in a weight is one towards the record's removal. Or (3, n), by term of the objective; the
            normalisation follows the actor's. All above 0; None means all 1.
        on_step: called before every optimizer step; raise from it to cancel.
        on_gradient: watches every optimizer step; it changes nothing.

    Returns:
        Means over the steps taken, in which every record counts once.
    """
    parameters = list(policy.parameters())
    actor_means: list[Tensor] = []
    critic_means: list[Tensor] = []
    for order in minibatches:
        index = torch.as_tensor(order, dtype=torch.int64)
        shuffled = batch.take(index)
        for start, stop, rows in kept_rows(order, config.batch_size, critic_kept):
            if on_step is not None:
                on_step()
            part, records = shuffled.part(start, stop), index[start:stop]
            if rows is not None:
                part, records = part.take(torch.as_tensor(rows)), records[rows]
            weight = None if weights is None else weights[..., records].expand(3, -1)
            if config.normalize_advantage:
                part = with_normalized_advantages(part, None if weight is None else weight[0])
            evaluation = policy(part.inputs, part.action)
            terms = objective(evaluation, part, config)
            with torch.no_grad():
                log_ratio = (evaluation.log_prob - part.log_prob)[part.kept]
                ratio = log_ratio.exp()
                divergence = ratio - 1 - log_ratio
                approx_kl = _weighted(divergence, None if weight is None else weight[0][part.kept])
                if config.target_kl is not None and approx_kl > 1.5 * config.target_kl:
                    return _means(actor_means, critic_means, config)
            optimizer.zero_grad()
            mean = mean_objective(terms, part.kept) if weight is None else weighted_mean(terms, part.kept, weight)
            mean.neg().backward()
            if on_gradient is not None:
                on_gradient(order[start:stop] if rows is None else order[start:stop][rows], *flat(parameters))
            norm = nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            optimizer.step()
            with torch.no_grad():
                if len(ratio):
                    outside = ((ratio - 1).abs() > config.clip_range).float().mean()
                    surrogate, entropy = terms.actor[part.kept].mean(), evaluation.entropy[part.kept].mean()
                    actor_means.append(torch.stack([-surrogate, entropy, divergence.mean(), outside]))
                critic_means.append(torch.stack([-terms.critic.mean(), norm]))
    return _means(actor_means, critic_means, config)


def mean_objective(terms: Objective, kept: Tensor) -> Tensor:
    """The objective of a minibatch: each term's mean over the records that it trains on."""
    if kept.all():
        return terms.total().mean()
    return (terms.actor + terms.entropy).sum() / kept.sum().clamp(min=1) + terms.critic.mean()


def weighted_mean(terms: Objective, kept: Tensor, weights: Tensor) -> Tensor:
    """`mean_objective` with (3, b) weights of the records' terms."""
    actor, critic, entropy = weights
    parts = (terms.actor[kept], actor[kept]), (terms.critic, critic), (terms.entropy[kept], entropy[kept])
    return torch.stack([_weighted(term, weight) for term, weight in parts if len(term)]).sum()


def _weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    """Their mean."""
    return values.mean() if weights is None else (weights * values).sum() / weights.sum()


def flat(parameters: list[nn.Parameter]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Parameters and their gradients as vectors, as `OnGradient` is told of them."""
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    theta, gradient = (torch.cat([t.detach().ravel() for t in tensors]) for tensors in (parameters, gradients))
    return theta.cpu().numpy(), gradient.cpu().numpy()


def kept_rows(
    order: NDArray[np.int32], batch_size: int, kept: NDArray[np.bool_] | None
) -> Iterator[tuple[int, int, NDArray[np.intp] | None]]:
    """(start, stop, rows kept within it or None for all) of each minibatch that keeps a record."""
    for start in range(0, len(order), batch_size):
        stop = min(start + batch_size, len(order))
        if kept is None or kept[order[start:stop]].all():
            yield start, stop, None
        elif kept[order[start:stop]].any():
            yield start, stop, np.flatnonzero(kept[order[start:stop]])


def _means(actor_means: list[Tensor], critic_means: list[Tensor], config: TrainConfig) -> UpdateMetrics:
    nothing = torch.full((4,), math.nan)
    actor = torch.stack(actor_means).mean(0) if actor_means else nothing
    critic, norm = (torch.stack(critic_means).mean(0) if critic_means else nothing[:2]).tolist()
    loss, entropy, approx_kl, clip_fraction = actor.tolist()
    value_loss = critic / config.vf_coef if config.vf_coef else math.nan
    return UpdateMetrics(loss, value_loss, entropy, approx_kl, clip_fraction, norm, len(critic_means))


def explained_variance(value: Float32s, returns: Float32s) -> float:
    """1 - Var(R - V) / Var(R): 1 is a perfect critic, 0 no better than a constant; NaN if R is constant."""
    variance = np.var(returns)
    return float(1 - np.var(np.subtract(returns, value)) / variance) if variance > 0 else math.nan

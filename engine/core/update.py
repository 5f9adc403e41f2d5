"""The update of any torch policy: epochs, minibatches, and one ascent step on the mean of J_i for each.

J_i is PPO's, `objective.objective` (Schulman et al. 2017, eq. 9), where no other is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.config import TrainConfig
from engine.core.objective import (
    Batch,
    ObjectiveFunction,
    OnGradient,
    UpdateMetrics,
    flat,
    kept_rows,
    mean_objective,
    objective_function,
    said_of,
    weighted,
    weighted_mean,
    with_normalized_advantages,
)
from engine.core.policy import Evaluation, Policy, trained


def as_batch(policy: Policy, buffer: Any) -> Batch:
    """A buffer's columns `observation`, `action`, `log_prob`, `advantage`, `returns`, `kept`, in the policy's precision."""
    columns = buffer.action, buffer.log_prob, buffer.advantage, buffer.returns, buffer.kept
    return Batch(policy.encoded(buffer.observation), *map(policy.as_tensor, columns))


def update(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    minibatches: NDArray[np.int32],
    config: TrainConfig,
    *,
    of_record: TrainConfig | ObjectiveFunction | None = None,
    loss: Callable[[Evaluation, Batch], Tensor] | None = None,
    critic_kept: NDArray[np.bool_] | None = None,
    weights: Tensor | None = None,
    on_step: Callable[[], None] | None = None,
    on_gradient: OnGradient | None = None,
) -> UpdateMetrics:
    """One update, theta(k) -> theta(k+1), in place.

    A record that is in a minibatch but not `batch.kept` trains the critic alone: the means of the actor's terms and the
    normalisation of the advantages run over the kept records of the minibatch. A policy with a memory is shown all of the
    minibatch, also what is left out of it.

    Args:
        policy: holds theta(k); afterwards theta(k+1).
        optimizer: its state goes on.
        batch: the whole buffer, raw advantages.
        minibatches: (n_epochs, n) permutations.
        config: settings.
        of_record: the objective of a record; None means PPO's with these settings.
        loss: what a minibatch minimises, written as another trainer writes it: the same as the objective's mean with a minus,
            to the last bit; parameters that it does not reach stay without a gradient. None means that mean itself.
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
    terms_of = objective_function(of_record or config)
    parameters = list(trained(policy).values())
    actor_means: list[Tensor] = []
    critic_means: list[Tensor] = []
    last_kl = torch.zeros(())
    for order in minibatches:
        index = torch.as_tensor(order, dtype=torch.int64)
        shuffled = batch.take(index)
        for start, stop, rows in kept_rows(order, config, critic_kept):
            if on_step is not None:
                on_step()
            part, records = shuffled.part(start, stop), index[start:stop]
            weight = None if weights is None else weights[..., records].expand(3, -1)
            if config.normalize_advantage:
                part = with_normalized_advantages(part, None if weight is None else weight[0])
            left = None if rows is None else torch.as_tensor(rows)
            evaluation, part = said_of(policy, part, left)
            weight = weight if weight is None or left is None else weight[:, left]
            terms = terms_of(evaluation, part)
            with torch.no_grad():
                log_ratio = (evaluation.log_prob - part.log_prob)[part.kept]
                ratio = log_ratio.exp()
                divergence = ratio - 1 - log_ratio
                approx_kl = weighted(divergence, None if weight is None else weight[0][part.kept])
                if config.stops_before_step(approx_kl):
                    return _means(actor_means, critic_means, config)
                last_kl = approx_kl if len(ratio) else last_kl
            optimizer.zero_grad()
            if loss is not None and weight is None and bool(part.kept.all()):
                loss(evaluation, part).backward()
            else:
                mean = mean_objective(terms, part.kept) if weight is None else weighted_mean(terms, part.kept, weight)
                mean.neg().backward()
            if loss is None:
                _fill(parameters)
            if on_gradient is not None:
                shown = order[start:stop]
                on_gradient(shown if rows is None or policy.has_memory else shown[rows], *flat(parameters))
            norm = nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            optimizer.step()
            with torch.no_grad():
                if len(ratio):
                    actor_means.append(_of_actor(terms.actor, evaluation.entropy, part.kept, ratio, divergence, config))
                critic_means.append(torch.stack([-terms.critic.mean(), norm]))
        if config.stops_after_epoch(last_kl):
            break
    return _means(actor_means, critic_means, config)


def _fill(parameters: list[nn.Parameter]) -> None:
    """Give those that are not in the objective a gradient of 0, so that all have the same steps."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def _of_actor(
    surrogate: Tensor, entropy: Tensor, kept: Tensor, ratio: Tensor, divergence: Tensor, config: TrainConfig
) -> Tensor:
    """Its part of a step's metrics: loss, entropy, approximate KL and share of clipped ratios."""
    outside = ((ratio - 1).abs() > config.clip_range).float().mean()
    return torch.stack([-surrogate[kept].mean(), entropy[kept].mean(), divergence.mean(), outside])


def _means(actor_means: list[Tensor], critic_means: list[Tensor], config: TrainConfig) -> UpdateMetrics:
    nothing = torch.full((4,), math.nan)
    actor = torch.stack(actor_means).mean(0) if actor_means else nothing
    critic, norm = (torch.stack(critic_means).mean(0) if critic_means else nothing[:2]).tolist()
    loss, entropy, approx_kl, clip_fraction = actor.tolist()
    value_loss = critic / config.vf_coef if config.vf_coef else math.nan
    return UpdateMetrics(loss, value_loss, entropy, approx_kl, clip_fraction, norm, len(critic_means))

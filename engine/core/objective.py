"""The objective of each record, and what the updates of every kind share around it: minibatches, optimizer, metrics.

Reads as the paper does: J_i = min(r_i A_i, clip(r_i, 1 - eps, 1 + eps) A_i) - c_v (V_i - R_i)^2 + c_e H_i (Schulman et al.
2017, eq. 9).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from engine.config import TrainConfig
from engine.core.optimizer_settings import BETA1, BETA2, EPSILON
from engine.core.policy import Evaluation, Inputs, Policy, WithColumns, nothing_trained, trained
from engine.errors import BadInputError
from engine.store.snapshot import Float32s
from engine.store.words import counted


class Batch(NamedTuple):
    """The columns of n records that the objective reads, as tensors.

    A record of a language model is a sequence: its columns have shape (n, T), one number a token, but for `kept`.
    """

    inputs: Inputs
    """(n, d) encoded observations, or whatever the policy's networks take."""
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

    def __repr__(self) -> str:
        return f"Batch({counted(len(self.log_prob), 'record')})"

    def with_advantages(self, advantage: Tensor) -> Batch:
        """The same records with other advantages, for their policy as well, where it is shown them."""
        inputs = self.inputs
        if isinstance(inputs, WithColumns):
            inputs = inputs._replace(columns={**inputs.columns, "advantage": advantage})
        return self._replace(inputs=inputs, advantage=advantage)

    def take(self, index: Tensor) -> Batch:
        """The records at `index`, in that order."""
        return self.map(lambda column: column[index])

    def part(self, start: int, stop: int) -> Batch:
        """The records start..stop-1, without a copy."""
        return self.map(lambda column: column[start:stop])

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Every column as a function of it."""
        inputs, *columns = self
        changed = change(inputs) if isinstance(inputs, Tensor) else tree_map_only(Tensor, change, inputs)
        return Batch(changed, *map(change, columns))


def said_of(policy: Policy, batch: Batch, left: Tensor | None) -> tuple[Evaluation, Batch]:
    """What a policy says of those records of a minibatch that are `left` in it (None: all), and these records.

    A policy that has a memory is shown the others, too, in their places.
    """
    if left is None:
        return policy(batch.inputs, batch.action), batch
    part = batch.take(left)
    if policy.has_memory:
        return policy(batch.inputs, batch.action).take(left), part
    return policy(part.inputs, part.action), part


class Objective(NamedTuple):
    """J_i of n records, split into its three terms; their sum is what the update maximises."""

    actor: Tensor
    """(n,) clipped surrogate."""
    critic: Tensor
    """(n,) -vf_coef * (V - R)^2; 0 if the value was not evaluated."""
    entropy: Tensor
    """(n,) ent_coef * H."""

    def __repr__(self) -> str:
        return f"Objective({counted(len(self.actor), 'record')})"

    def total(self) -> Tensor:
        """(n,) J_i."""
        return self.actor + self.critic + self.entropy


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


ObjectiveFunction = Callable[[Evaluation, Batch], Objective]
"""The terms of n records from what the policy says of them and from their columns."""


def objective_function(chosen: TrainConfig | ObjectiveFunction) -> ObjectiveFunction:
    """PPO's objective with the settings of a run, or any other objective as it is."""
    return partial(objective, config=chosen) if isinstance(chosen, TrainConfig) else chosen


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
    return part.with_advantages(advantage)


def mean_objective(terms: Objective, kept: Tensor) -> Tensor:
    """The objective of a minibatch: each term's mean over the records that it trains on."""
    if kept.all():
        return terms.total().mean()
    return (terms.actor + terms.entropy).sum() / kept.sum().clamp(min=1) + terms.critic.mean()


def weighted_mean(terms: Objective, kept: Tensor, weights: Tensor) -> Tensor:
    """`mean_objective` with (3, b) weights of the records' terms."""
    actor, critic, entropy = weights
    parts = (terms.actor[kept], actor[kept]), (terms.critic, critic), (terms.entropy[kept], entropy[kept])
    return torch.stack([weighted(term, weight) for term, weight in parts if len(term)]).sum()


def weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    """The mean of values that count so often; without weights each counts once."""
    return values.mean() if weights is None else (weights * values).sum() / weights.sum()


def first_epoch_advantages(
    advantage: Tensor, kept: Tensor, minibatches: NDArray[np.int32], config: TrainConfig
) -> Tensor:
    """(n,) advantages normalised within the first epoch's minibatches.

    A record that was dropped from the update, or that the epoch does not take, has no minibatch: it is normalised by the
    whole buffer's statistics, as all are where no minibatches were recorded.
    """
    normalized = normalize(advantage)
    if not minibatches.size:
        return normalized
    order = torch.as_tensor(minibatches[0], dtype=torch.int64)
    for start, stop in config.cuts(len(order)):
        used = order[start:stop][kept[order[start:stop]]]
        normalized[used] = normalize(advantage[used])
    return normalized


class MinibatchObjective(Protocol):
    """How the terms of a minibatch's records become what its optimizer step ascends.

    Weights are (3, n), how often each record of the round counts, by term; the advantages follow the actor's. None means
    all 1. As a record's weight goes to 0, it is as if it were removed.
    """

    @property
    def of_record(self) -> TrainConfig | ObjectiveFunction:
        """The objective of a record, in its terms: PPO's with these settings, or any other."""
        ...

    def take(self, batch: Batch, records: Tensor, weights: Tensor | None = None) -> Batch:
        """The records of a minibatch, out of the whole round, with the advantages that its step sees."""
        ...

    def mean(self, terms: Objective, part: Batch, weights: Tensor | None = None) -> Tensor:
        """The minibatch's objective; the weights are those of its records, (3, b)."""
        ...

    def at_start(self, batch: Batch, minibatches: NDArray[np.int32]) -> Batch:
        """The whole round with the advantages that the first epoch's steps see."""
        ...

    def each(self, terms: Objective, batch: Batch) -> Tensor:
        """(n,) J_i, whose mean over the whole round as one minibatch is that minibatch's objective."""
        ...


@dataclass(frozen=True)
class RecordObjective:
    """Each term's mean over the records that it trains on; advantages normalised within the minibatch, where settings say so."""

    config: TrainConfig
    other: ObjectiveFunction | None = None
    """The objective of a record, where it is not PPO's."""

    @property
    def of_record(self) -> TrainConfig | ObjectiveFunction:
        """PPO's, or the other one."""
        return self.other or self.config

    def take(self, batch: Batch, records: Tensor, weights: Tensor | None = None) -> Batch:
        """The records of a minibatch, advantages normalised over them."""
        part = batch.take(records)
        if not self.config.normalize_advantage:
            return part
        return with_normalized_advantages(part, None if weights is None else weights[0, records])

    def mean(self, terms: Objective, part: Batch, weights: Tensor | None = None) -> Tensor:
        """`mean_objective`, or `weighted_mean`."""
        return mean_objective(terms, part.kept) if weights is None else weighted_mean(terms, part.kept, weights)

    def at_start(self, batch: Batch, minibatches: NDArray[np.int32]) -> Batch:
        """The whole round, advantages normalised within the first epoch's minibatches."""
        if not self.config.normalize_advantage:
            return batch
        advantage = first_epoch_advantages(batch.advantage, batch.kept, minibatches, self.config)
        return batch.with_advantages(advantage)

    def each(self, terms: Objective, batch: Batch) -> Tensor:
        """(n,) the sum of a record's terms."""
        return terms.total()


def draw_minibatches(rng: np.random.Generator, n: int, n_epochs: int) -> NDArray[np.int32]:
    """(n_epochs, n): one permutation of all n records an epoch."""
    return np.stack([rng.permutation(n) for _ in range(n_epochs)]).astype(np.int32)


def make_optimizer(policy: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam (eps 1e-5) or SGD over all parameters that are trained.

    Raises:
        BadInputError: none is, or the settings are those of another trainer's optimizer.
    """
    if config.optimizer == "other":
        raise BadInputError("optimizer is other, which only recorded runs have; train with adam or sgd")
    parameters = list(trained(policy).values())
    if not parameters:
        raise nothing_trained()
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=config.learning_rate, betas=(BETA1, BETA2), eps=EPSILON, fused=True)
    return torch.optim.SGD(parameters, lr=config.learning_rate, momentum=config.momentum, fused=True)


OnGradient = Callable[[NDArray[np.int32], NDArray[Any], NDArray[Any]], None]
"""Told of every optimizer step before it is taken: the numbers (b,) of the records that its policy was shown, the parameters (p,)
and the loss's gradient (p,) before clipping. The vectors are flat, in the order of `policy.trained`; copy what you keep."""


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


def flat(parameters: list[nn.Parameter]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Parameters and their gradients as vectors, as `OnGradient` is told of them."""
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    theta, gradient = (torch.cat([t.detach().ravel() for t in tensors]) for tensors in (parameters, gradients))
    return theta.cpu().numpy(), gradient.cpu().numpy()


def kept_rows(
    order: NDArray[np.int32], config: TrainConfig, kept: NDArray[np.bool_] | None
) -> Iterator[tuple[int, int, NDArray[np.intp] | None]]:
    """(start, stop, rows kept within it or None for all) of each minibatch of an epoch that keeps a record."""
    for start, stop in config.cuts(len(order)):
        if kept is None or kept[order[start:stop]].all():
            yield start, stop, None
        elif kept[order[start:stop]].any():
            yield start, stop, np.flatnonzero(kept[order[start:stop]])


def explained_variance(value: Float32s, returns: Float32s) -> float:
    """1 - Var(R - V) / Var(R): 1 is a perfect critic, 0 no better than a constant; NaN if R is constant."""
    variance = np.var(returns)
    return float(1 - np.var(np.subtract(returns, value)) / variance) if variance > 0 else math.nan

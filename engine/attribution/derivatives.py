"""Derivatives at any theta of an update: of the target, and of a minibatch's objective along a direction."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from engine.attribution.backends import Term
from engine.attribution.steps import Vector
from engine.attribution.targets import Target
from engine.config import TrainConfig
from engine.learning.networks import Policy
from engine.learning.ppo import as_batch, objective, with_normalized_advantages
from engine.store.snapshot import RolloutBuffer

TERMS: tuple[Term, ...] = ("actor", "critic", "entropy")
"""The terms of a record's objective, in the order of every (3, ...) array."""


class Derivatives(Protocol):
    """What estimators along the path need.

    A record's share J_i / n of a minibatch's mean is as its step had it: n is the number of records that the term trains
    on, and advantages are normalised within the minibatch.
    """

    def target_gradient(self, theta: Vector, target: Target) -> Vector:
        """Grad f at theta."""
        ...

    def products(self, theta: Vector, records: NDArray[np.int32], direction: Vector) -> NDArray[Any]:
        """(3, b): <direction, grad J_i(theta)> / n of the records of a minibatch, by term."""
        ...


class TorchDerivatives:
    """Of any policy, by backward passes. The policy is moved to the theta of each call."""

    def __init__(self, policy: Policy, buffer: RolloutBuffer, config: TrainConfig) -> None:
        self.policy, self.config = policy, config
        self.parameters = list(policy.parameters())
        self.batch = as_batch(policy, buffer)

    def target_gradient(self, theta: Vector, target: Target) -> Vector:
        """Grad f at theta."""
        self._move_to(theta)
        value = target.value(self.policy)
        return _flat(torch.autograd.grad(value, self.parameters, allow_unused=True, materialize_grads=True))

    def products(self, theta: Vector, records: NDArray[np.int32], direction: Vector) -> NDArray[Any]:
        """(3, b) inner products by term."""
        slope, weights = self._slope(theta, records, direction)
        return torch.autograd.grad(slope, weights)[0].numpy()

    def second_order(self, theta: Vector, records: NDArray[np.int32], direction: Vector) -> tuple[NDArray[Any], Vector]:
        """(3, b) inner products by term, and (p,) the Hessian of the minibatch's mean objective times the direction."""
        slope, weights = self._slope(theta, records, direction)
        products, *curvature = torch.autograd.grad(slope, [weights, *self.parameters], materialize_grads=True)
        return products.numpy(), _flat(curvature)

    def _slope(self, theta: Vector, records: NDArray[np.int32], direction: Vector) -> tuple[Tensor, Tensor]:
        """<direction, grad mean J> as a function of theta and of every record's (3, b) weights, all 1.

        Backwards from there, a weight's derivative is the record's inner product, and theta's is the Hessian's.
        """
        self._move_to(theta)
        part = self.batch.take(torch.as_tensor(records, dtype=torch.int64))
        if self.config.normalize_advantage:
            part = with_normalized_advantages(part)
        terms = objective(self.policy(part.inputs, part.action), part, self.config)
        weights = torch.ones(3, len(records), dtype=self.policy.dtype, requires_grad=True)
        actor, critic, entropy = (w * term for w, term in zip(weights, terms, strict=True))
        mean = (actor + entropy).sum() / part.kept.sum().clamp(min=1) + critic.mean()
        gradient = torch.autograd.grad(
            mean, self.parameters, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([g.ravel() for g in gradient]) @ torch.as_tensor(direction, dtype=self.policy.dtype), weights

    def _move_to(self, theta: Vector) -> None:
        vector_to_parameters(torch.as_tensor(theta), self.parameters)


def _flat(gradients: Any) -> Vector:
    return torch.cat([g.ravel() for g in gradients]).numpy()

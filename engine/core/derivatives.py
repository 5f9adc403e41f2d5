"""Derivatives at any theta of an update: of the target, and of a minibatch's objective along a direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from engine.config import TrainConfig
from engine.core.backends import Term
from engine.core.objective import Objective, objective
from engine.core.policy import Policy
from engine.core.steps import Vector
from engine.core.targets import Target
from engine.kinds.control.ppo import as_batch, mean_objective, weighted_mean, with_normalized_advantages
from engine.kinds.control.snapshot import RolloutBuffer

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
        weights = self._weights(records)
        gradient = self._gradient(theta, records, weights, shared=False)
        return torch.autograd.grad(gradient @ self._tensor(direction), weights)[0].numpy()

    def second_order(
        self, theta: Vector, records: NDArray[np.int32], directions: Sequence[Vector]
    ) -> tuple[NDArray[Any], Vector]:
        """What the minibatch's mean objective makes of directions, exactly.

        Args:
            theta: parameters.
            records: (b,) of the minibatch.
            directions: whose sum is the direction d.

        Returns:
            (len(directions), 3, b) derivative of <direction, grad mean J> in each record's weight, by term: unlike an inner
            product it has the record's part in the denominators and in the normalisation of the advantages; and (p,)
            the Hessian of mean J times d.
        """
        weights = self._weights(records)
        gradient = self._gradient(theta, records, weights, shared=True)
        slopes = [gradient @ self._tensor(direction) for direction in directions]
        products = [torch.autograd.grad(slope, weights, retain_graph=True)[0].numpy() for slope in slopes]
        curvature = torch.autograd.grad(torch.stack(slopes).sum(), self.parameters, materialize_grads=True)
        return np.stack(products), _flat(curvature)

    def _weights(self, records: NDArray[np.int32]) -> Tensor:
        """(3, b) of each record's terms, all 1."""
        return torch.ones(3, len(records), dtype=self.policy.dtype, requires_grad=True)

    def _gradient(self, theta: Vector, records: NDArray[np.int32], weights: Tensor, *, shared: bool) -> Tensor:
        """(p,) of the minibatch's mean objective at theta, as a function of theta and of the weights.

        Args:
            theta: parameters.
            records: (b,) of the minibatch.
            weights: (3, b); the advantages are normalised with the actor's.
            shared: whether records share the means and the normalisation, so that one's weight takes from the others',
                as `ppo.update` has it; else a weight multiplies the record's terms and no more.
        """
        self._move_to(theta)
        part = self.batch.take(torch.as_tensor(records, dtype=torch.int64))
        if self.config.normalize_advantage:
            part = with_normalized_advantages(part, weights[0] if shared else None)
        terms = objective(self.policy(part.inputs, part.action), part, self.config)
        if shared:
            mean = weighted_mean(terms, part.kept, weights)
        else:
            mean = mean_objective(Objective(*(w * term for w, term in zip(weights, terms, strict=True))), part.kept)
        gradients = torch.autograd.grad(
            mean, self.parameters, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([g.ravel() for g in gradients])

    def _tensor(self, vector: Vector) -> Tensor:
        return torch.as_tensor(vector, dtype=self.policy.dtype)

    def _move_to(self, theta: Vector) -> None:
        vector_to_parameters(torch.as_tensor(theta), self.parameters)


def _flat(gradients: Any) -> Vector:
    return torch.cat([g.ravel() for g in gradients]).numpy()

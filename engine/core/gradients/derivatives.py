"""Derivatives at any theta of an update: of the target, and of a minibatch's objective along a direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.core.gradients.attribution import Attribution, Term
from engine.core.gradients.inner_products import Direction, target_gradient
from engine.core.gradients.steps import Vector
from engine.core.objective import Batch, MinibatchObjective, Objective, objective_function, said_of
from engine.core.policy import Evaluation, Policy, trained
from engine.core.targets.functions import LogProbTarget, Target
from engine.store.snapshot import Float32s


class Credit(NamedTuple):
    """What a step gave records for moving along a direction."""

    records: NDArray[np.integer]
    """(m,) numbers, each once; those of the minibatch, and others that are compared with them."""
    terms: NDArray[Any]
    """(3, m) by term."""


class Derivatives(Protocol):
    """What estimators along the update need.

    A record's share J_i / n of a minibatch's mean is as its step had it: n is the number of records that the term trains
    on, and advantages are normalised within the minibatch.
    """

    def target_gradient(self, theta: Vector, target: Target) -> Vector:
        """Grad f at theta."""
        ...

    def credit(self, theta: Vector, records: NDArray[np.int32], direction: Vector) -> Credit:
        """<direction, grad J_i(theta)> / n of the records of a minibatch, as what each is credited with."""
        ...

    def finished(self, found: Attribution) -> Attribution:
        """What all steps gave, with what is known of the parts of a record."""
        ...


class KeptGradients(Protocol):
    """The gradients of all records of a round at theta(k), kept in memory."""

    def influence(self, target: LogProbTarget) -> dict[Term, Float32s]:
        """(n,) each: <grad f, grad J_i> by term; errors as `inner_products.gradient`."""
        ...

    def influence_on_each(self, target: LogProbTarget) -> Float32s:
        """(m, n) <grad log pi(a_j|s_j), grad J_i>: each of the target's m pairs as a target of its own."""
        ...


class TorchDerivatives:
    """Of any policy, by backward passes. The policy is moved to the theta of each call."""

    def __init__(
        self,
        policy: Policy,
        batch: Batch,
        minibatch: MinibatchObjective,
        critic_kept: NDArray[np.bool_] | None = None,
    ) -> None:
        """Prepare for a round.

        Args:
            policy: of the round.
            batch: all of its records, advantages as stored.
            minibatch: what a step makes of some of them.
            critic_kept: (n,) False: left out of every minibatch, and only shown to a policy with a memory; None: none is.
        """
        self.policy, self.batch, self.minibatch, self.critic_kept = policy, batch, minibatch, critic_kept
        self.terms_of = objective_function(minibatch.of_record)
        self.parameters = trained(policy)

    def target_gradient(self, theta: Vector, target: Target) -> Vector:
        """Grad f at theta; 0 for parameters that it does not depend on."""
        self.move_to(theta)
        found = target_gradient(target, self.policy)
        parts = [found.get(name, torch.zeros_like(p)) for name, p in self.parameters.items()]
        return np.asarray(torch.cat([part.detach().ravel() for part in parts]).cpu().numpy())

    def credit(self, theta: Vector, records: NDArray[np.int32], direction: Vector) -> Credit:
        """The inner products of the minibatch's own records, by term."""
        self.move_to(theta)
        evaluation, part, rows = self._step(records)
        weights = torch.ones(3, len(rows), dtype=self.policy.dtype, device=rows.device, requires_grad=True)
        terms = self.terms_of(evaluation, part)
        wide = [w.reshape(-1, *(1 for _ in term.shape[1:])) for w, term in zip(weights, terms, strict=True)]
        mean = self.minibatch.mean(Objective(*(w * term for w, term in zip(wide, terms, strict=True))), part)
        slope = self._slope(mean, direction)
        return Credit(rows.cpu().numpy(), torch.autograd.grad(slope, weights)[0].cpu().numpy())

    def finished(self, found: Attribution) -> Attribution:
        """As it is: a record has no parts here."""
        return found

    def second_order(
        self, theta: Vector, records: NDArray[np.int32], directions: Sequence[Vector]
    ) -> tuple[NDArray[Any], Vector]:
        """What the minibatch's mean objective makes of directions, exactly.

        Args:
            theta: parameters.
            records: (b,) of the minibatch.
            directions: whose sum is the direction d.

        Returns:
            (len(directions), 3, n) derivative of <direction, grad mean J> in the weight of each record of the round, by
            term: unlike an inner product it has the record's part in the denominators and in the advantages; and (p,)
            the Hessian of mean J times d.
        """
        self.move_to(theta)
        n = len(self.batch.kept)
        weights = torch.ones(3, n, dtype=self.policy.dtype, device=self.policy.device, requires_grad=True)
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            evaluation, part, rows = self._step(records, weights)
            terms = self.terms_of(evaluation, part)
            mean = self.minibatch.mean(terms, part, weights[:, rows])
            gradient = self._gradient(mean)
            slopes = [gradient @ self._tensor(direction) for direction in directions]
            products = [torch.autograd.grad(slope, weights, retain_graph=True)[0].cpu().numpy() for slope in slopes]
            curvature = torch.autograd.grad(
                torch.stack(slopes).sum(), list(self.parameters.values()), allow_unused=True, materialize_grads=True
            )
        return np.stack(products), np.asarray(torch.cat([g.ravel() for g in curvature]).cpu().numpy())

    def _step(self, records: NDArray[np.int32], weights: Tensor | None = None) -> tuple[Evaluation, Batch, Tensor]:
        """What the policy says of the records that a step is taken on, these as it sees them, and their numbers."""
        rows = torch.as_tensor(records, dtype=torch.int64, device=self.policy.device)
        part = self.minibatch.take(self.batch, rows, weights)
        if self.critic_kept is None or self.critic_kept[records].all():
            return *said_of(self.policy, part, None), rows
        left = torch.as_tensor(np.flatnonzero(self.critic_kept[records]), device=self.policy.device)
        return *said_of(self.policy, part, left), rows[left]

    def by_name(self, vector: Vector) -> Direction:
        """(p,) -> its parts by parameter."""
        sizes = [p.numel() for p in self.parameters.values()]
        parts = self._tensor(vector).split(sizes)
        return {name: part.reshape(p.shape) for (name, p), part in zip(self.parameters.items(), parts, strict=True)}

    def move_to(self, theta: Vector) -> None:
        """Set the policy's parameters."""
        for name, part in self.by_name(theta).items():
            self.parameters[name].data.copy_(part)

    def _gradient(self, mean: Tensor) -> Tensor:
        """(p,) of the minibatch's objective, as a function of theta and of the weights."""
        gradients = torch.autograd.grad(
            mean, list(self.parameters.values()), create_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([g.ravel() for g in gradients])

    def _slope(self, mean: Tensor, direction: Vector) -> Tensor:
        """<direction, grad mean>."""
        return self._gradient(mean) @ self._tensor(direction)

    def _tensor(self, vector: Vector) -> Tensor:
        return torch.as_tensor(vector, dtype=self.policy.dtype, device=self.policy.device)

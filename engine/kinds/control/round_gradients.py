"""The gradients of all records of a round at theta(k), kept in memory: a new target costs a millisecond.

In a linear layer the gradient of record i is the outer product of delta_i, the derivative in the layer's output, and
(x_i, 1), its input. All n gradients are a matrix G of n rows and a column a parameter, and influence is G grad f. Here G is
kept as its factors: x and delta of 2048 records take 2 MB where G takes 40, and G grad f takes a fifth of the time, because
every number that is read is used 64 times. So nothing of it is ever written to disk.

The critic has networks of its own, which no target depends on: its term of the objective has no part here.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.core.gradients.attribution import Term
from engine.core.gradients.inner_products import zero_gradient
from engine.core.objective import first_epoch_advantages
from engine.core.targets.functions import LogProbTarget
from engine.kinds.control.agents import restore_agent
from engine.kinds.control.closed_form import F32, Categorical, ClosedFormAgent, Gaussian
from engine.kinds.control.closed_form_derivatives import surrogate_slope
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.snapshot import Float32s

KEPT_BYTES = 256 * 2**20
"""Of all rounds' gradients together; the round that was used longest ago goes first."""


@dataclass(frozen=True, eq=False)
class ActorVector:
    """A direction in the actor's parameters, such as grad f."""

    layers: list[tuple[Float32s, Float32s]]
    """(out, in) weight and (out,) bias of each."""
    log_std: Float32s | None
    """(d,); None for discrete actions."""

    def any(self) -> bool:
        """Whether a number is not 0."""
        parts = [part for layer in self.layers for part in layer]
        return any(part.any() for part in parts) or (self.log_std is not None and bool(self.log_std.any()))


@dataclass(frozen=True, eq=False)
class Factors:
    """The matrix G of n gradients in the actor's parameters, as factors."""

    inputs: list[Float32s]
    """(n, in) x of each layer."""
    deltas: list[Float32s]
    """(n, out) of each layer."""
    log_std: Float32s | None
    """(n, d), written out; None for discrete actions."""

    def combined(self, c: Float32s) -> ActorVector:
        """(n,) -> c G, the sum of the gradients with weights c."""
        layers: list[tuple[Float32s, Float32s]] = [
            (np.matmul(delta.T * c, x), np.matmul(c, delta)) for x, delta in zip(self.inputs, self.deltas, strict=True)
        ]
        return ActorVector(layers, None if self.log_std is None else np.matmul(c, self.log_std))

    def along(self, v: ActorVector) -> Float32s:
        """(n,) G v."""
        products = np.zeros(len(self.deltas[0]), F32)
        for x, delta, (weight, bias) in zip(self.inputs, self.deltas, v.layers, strict=True):
            products += np.einsum("no,no->n", x @ weight.T + bias, delta)
        return products if self.log_std is None or v.log_std is None else products + self.log_std @ v.log_std

    def with_each(self, others: Factors) -> Float32s:
        """(m, n) inner products of m other gradients with these: of outer products, products of inner products."""
        products = np.zeros((len(others.deltas[0]), len(self.deltas[0])), F32)
        for x, delta, y, gamma in zip(self.inputs, self.deltas, others.inputs, others.deltas, strict=True):
            products += (gamma @ delta.T) * (y @ x.T + 1)
        if self.log_std is not None and others.log_std is not None:
            products += others.log_std @ self.log_std.T
        return products


class RoundGradients:
    """Grad J_i(theta(k)) of all records of a round, by term, for tanh perceptrons with actor and critic apart."""

    def __init__(self, snapshot: ControlSnapshot) -> None:
        config, buffer = snapshot.config, snapshot.buffer
        agent = restore_agent(config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
        if not isinstance(agent, ClosedFormAgent):
            raise TypeError("only the closed form has these gradients")
        self.agent, self.used = agent, buffer.critic_kept
        activations = agent.actor.forward(agent.encode(buffer.observation))
        head = self._head(activations[-1], buffer.action)
        advantage = torch.as_tensor(buffer.advantage)
        if config.normalize_advantage:
            advantage = first_epoch_advantages(advantage, torch.as_tensor(buffer.kept), snapshot.minibatches, config)
        slope = surrogate_slope(head.log_prob - buffer.log_prob, advantage.numpy(), config.clip_range)
        kept, nothing = buffer.kept.astype(F32), np.zeros_like(slope)
        self.terms: dict[Term, Factors] = {"actor": self._factors(activations, head, slope * kept, nothing)}
        if config.ent_coef:
            self.terms["entropy"] = self._factors(activations, head, nothing, F32(config.ent_coef) * kept)

    @property
    def nbytes(self) -> int:
        """What they take in memory, with the agent that evaluates targets; all terms share the inputs."""
        parts = [*self.terms["actor"].inputs, self.agent.theta, self.agent.gradient, *self.agent.state.values()]
        for factors in self.terms.values():
            parts += [*factors.deltas, *(() if factors.log_std is None else (factors.log_std,))]
        return sum(part.nbytes for part in parts)

    def influence(self, target: LogProbTarget) -> dict[Term, Float32s]:
        """(n,) each: <grad f, grad J_i> by term, 0 for records that the update went without.

        Raises:
            ZeroGradientError: grad f is zero, so that every influence would be 0.
        """
        v = self._log_probs(target).combined(target.coefficient)
        if not v.any():
            raise zero_gradient(target)
        return {term: np.where(self.used, factors.along(v), F32(0)) for term, factors in self.terms.items()}

    def influence_on_each(self, target: LogProbTarget) -> Float32s:
        """(m, n) <grad log pi(a_j|s_j), grad J_i>: each of the target's m pairs as a target of its own."""
        of_each = self._log_probs(target)
        products = sum(factors.with_each(of_each) for factors in self.terms.values())
        return np.where(self.used, products, F32(0))

    def _log_probs(self, target: LogProbTarget) -> Factors:
        """Gradients of the log pi(a_j|s_j) of a target."""
        activations = self.agent.actor.forward(self.agent.encode(target.observation))
        ones = np.ones(len(target.action), F32)
        return self._factors(activations, self._head(activations[-1], target.action), ones, np.zeros_like(ones))

    def _head(self, output: Float32s, action: NDArray[Any]) -> Categorical | Gaussian:
        log_std = self.agent.log_std
        return Categorical(output, action) if log_std is None else Gaussian(output, action, log_std)

    def _factors(
        self, activations: list[Float32s], head: Categorical | Gaussian, slope: Float32s, entropy: Float32s
    ) -> Factors:
        """Gradients of slope_i log pi_i + entropy_i H_i."""
        delta, _ = head.backward(slope, -entropy)
        deltas = [delta]
        for i in reversed(range(1, len(self.agent.actor.layers))):
            weight = self.agent.actor.layers[i][0]
            deltas.insert(0, deltas[0] @ weight * (1 - activations[i] * activations[i]))
        log_std = None
        if isinstance(head, Gaussian):
            log_std = slope[:, None] * (head.deviation**2 - 1) + entropy[:, None]
        return Factors(activations[:-1], deltas, log_std)


class GradientCache:
    """Gradients by snapshot, the most recently used ones, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[str, RoundGradients] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str, make: Callable[[], RoundGradients]) -> RoundGradients:
        """What is kept under the key, or made now."""
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = make()
        with self._lock:
            self._kept[key] = found
            self._kept.move_to_end(key)
            while self.nbytes > self.limit:
                self._kept.popitem(last=False)
        return found

    @property
    def nbytes(self) -> int:
        """Of everything that is kept."""
        return sum(gradients.nbytes for gradients in self._kept.values())


_CACHE = GradientCache(KEPT_BYTES)


def round_gradients(snapshot: ControlSnapshot) -> RoundGradients | None:
    """The gradients of a round, kept from earlier where it is committed; None where the networks are no perceptrons."""
    if not has_gradients(snapshot):
        return None
    if not snapshot.hash:
        return RoundGradients(snapshot)
    return _CACHE.get(snapshot.hash, lambda: RoundGradients(snapshot))


def has_gradients(snapshot: ControlSnapshot) -> bool:
    """Whether `round_gradients` has an answer: not of a round so large that its gradients alone would be more than is kept."""
    if snapshot.config.path != "closed_form":
        return False
    shapes = [each.shape for name, each in snapshot.parameters.items() if re.fullmatch(r"actor\.\d+\.weight", name)]
    of_record = sum(inputs + 2 * outputs for outputs, inputs in shapes)  # the second term has deltas of its own
    return 4 * of_record * len(snapshot.buffer) <= KEPT_BYTES

"""`gradients.derivatives.Derivatives` of the default actor-critic in NumPy: faster than by torch, equal to rounding.

An inner product <v, grad J_i> is the derivative of J_i along v, so one forward pass of values and of their derivatives
along v (a JVP) gives it for all records at once, split by term.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.gradients.attribution import Attribution
from engine.core.gradients.derivatives import Credit, Derivatives
from engine.core.gradients.steps import Vector
from engine.core.targets.functions import LogProbTarget, Target
from engine.kinds.control.closed_form import F32, Categorical, Gaussian, Perceptron
from engine.kinds.control.networks import ActorCritic
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.snapshot import Float32s


class ClosedFormDerivatives:
    """Of tanh perceptrons with categorical or Gaussian actions."""

    def __init__(self, snapshot: ControlSnapshot, policy: ActorCritic, general: Derivatives) -> None:
        """Prepare for a round.

        Args:
            snapshot: round k.
            policy: says how observations are encoded; its parameters are not read.
            general: for targets that are no weighted sum of log-probabilities.
        """
        self.config, self.buffer, self.general = snapshot.config, snapshot.buffer, general
        self.encode = policy.encode
        space, parameters = snapshot.action_space, snapshot.parameters
        inputs = parameters["actor.0.weight"].shape[1]
        outputs = space.n if space.kind == "discrete" else math.prod(space.shape)
        self.actor_sizes = [inputs, *self.config.hidden, outputs]
        self.critic_sizes = [inputs, *self.config.hidden, 1]
        self.gaussian = space.kind == "box"
        self.inputs = self.encode(self.buffer.observation).numpy()
        self.target: tuple[Target | None, Float32s] = (None, self.inputs)

    def target_gradient(self, theta: Vector, target: Target) -> Vector:
        """Grad f at theta, f = sum_j c_j log pi(a_j|s_j)."""
        if not isinstance(target, LogProbTarget):
            return self.general.target_gradient(theta, target)
        if self.target[0] is not target:
            self.target = target, self.encode(target.observation).numpy()
        gradient = np.zeros_like(theta)
        actor, critic = self._networks(theta, gradient)
        activations = actor.forward(self.target[1])
        head = self._head(activations[-1], target.action, theta[critic.stop :])
        coefficient = target.coefficient
        delta, log_std_gradient = head.backward(coefficient, np.zeros_like(coefficient))
        actor.backward(activations, delta)
        if log_std_gradient is not None:
            gradient[critic.stop :] = log_std_gradient
        return gradient

    def credit(self, theta: Vector, records: NDArray[np.int32], direction: Vector) -> Credit:
        """The inner products of the minibatch's own records, by term."""
        config, buffer = self.config, self.buffer
        (actor, critic), (actor_along, critic_along) = self._networks(theta), self._networks(direction)
        products = np.zeros((3, len(records)), F32)
        kept = buffer.kept[records]
        used = records[kept]
        if len(used):
            output, along = _forward_along(actor, actor_along, self.inputs[used])
            head = self._head(output, buffer.action[used], theta[critic.stop :])
            log_prob_along, entropy_along = _head_along(head, along, direction[critic.stop :])
            slope = surrogate_slope(head.log_prob - buffer.log_prob[used], self._advantage(used), config.clip_range)
            products[0, kept] = slope * log_prob_along / len(used)
            products[2, kept] = config.ent_coef * entropy_along / len(used)
        if direction[actor.stop : critic.stop].any():
            value, value_along = _forward_along(critic, critic_along, self.inputs[records])
            error = value[:, 0] - buffer.returns[records]
            products[1] = -2 * config.vf_coef * error * value_along[:, 0] / len(records)
        return Credit(records, products)

    def finished(self, found: Attribution) -> Attribution:
        """As it is: a record has no parts here."""
        return found

    def _networks(self, theta: Vector, gradient: Vector | None = None) -> tuple[Perceptron, Perceptron]:
        """Actor and critic as views of a flat vector; only a backward pass needs the gradient's."""
        gradient = theta if gradient is None else gradient
        actor = Perceptron(self.actor_sizes, theta, gradient, 0)
        return actor, Perceptron(self.critic_sizes, theta, gradient, actor.stop)

    def _head(self, output: Float32s, action: NDArray[Any], log_std: Float32s) -> Categorical | Gaussian:
        return Gaussian(output, action, log_std) if self.gaussian else Categorical(output, action)

    def _advantage(self, records: NDArray[np.int32]) -> Float32s:
        """As the minibatch's step normalised them."""
        advantage = self.buffer.advantage[records]
        if not self.config.normalize_advantage or len(records) < 2:
            return advantage
        return (advantage - advantage.mean()) / (advantage.std(ddof=1) + F32(1e-8))


def _forward_along(network: Perceptron, direction: Perceptron, x: Float32s) -> tuple[Float32s, Float32s]:
    """(n, in) -> (n, out) output, and its derivative as the parameters move along `direction`."""
    activations = network.forward(x)
    along = np.zeros_like(x)
    for i, layer in enumerate(network.layers):
        weight, (weight_along, bias_along) = layer[0], direction.layers[i][:2]
        along = activations[i] @ weight_along.T + bias_along + along @ weight.T
        if i < len(network.layers) - 1:
            along *= 1 - activations[i + 1] * activations[i + 1]
    return activations[-1], along


def _head_along(head: Categorical | Gaussian, along: Float32s, log_std_along: Float32s) -> tuple[Float32s, Float32s]:
    """Derivatives (n,) of log pi and entropy as the network's output (n, out) and the log std move."""
    if isinstance(head, Categorical):
        centred = along - (head.probs * along).sum(axis=1, keepdims=True)
        return centred[head.rows, head.action], -(head.probs * head.log_probs * centred).sum(axis=1)
    deviation = head.deviation
    log_prob_along = (deviation * head.inverse_std * along + (deviation**2 - 1) * log_std_along).sum(axis=1)
    return log_prob_along, np.full(len(along), log_std_along.sum(), F32)


def surrogate_slope(log_ratio: Float32s, advantage: Float32s, clip_range: float) -> Float32s:
    """Derivative (n,) of the clipped surrogate in log pi: r A, or 0 where clipping bites."""
    ratio = np.exp(log_ratio)
    unclipped = ratio * advantage
    clipped = np.clip(ratio, F32(1 - clip_range), F32(1 + clip_range)) * advantage
    return np.where(unclipped <= clipped, unclipped, F32(0))

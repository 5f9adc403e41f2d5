"""The closed form: the default actor-critic as one flat NumPy vector, with a hand-written backward pass.

It means what the torch path means (`networks.ActorCritic`, `core.update.update`) and agrees with it to rounding. It is several
times faster, because at 64 records a minibatch torch spends its time on the calls and not on the arithmetic. It serves
tanh perceptrons with categorical or diagonal Gaussian actions, with Adam or SGD.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.objective import OnGradient, UpdateMetrics, kept_rows
from engine.core.optimizer_settings import BETA1, BETA2, EPSILON, configured
from engine.errors import DamagedRunError
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.kinds.control.snapshot import RolloutBuffer
from engine.spaces import Space
from engine.store.snapshot import Float32s

F32 = np.float32


class Perceptron:
    """A tanh network whose weights and gradients are views into two flat vectors.

    Layer l maps (n, in) to (n, out) by x W^T + b; all but the last are followed by tanh.
    """

    def __init__(self, sizes: Sequence[int], theta: Float32s, gradient: Float32s, start: int) -> None:
        self.layers: list[tuple[Float32s, Float32s, Float32s, Float32s]] = []
        for inputs, outputs in pairwise(sizes):
            bias, stop = start + inputs * outputs, start + (inputs + 1) * outputs
            self.layers.append(
                (
                    theta[start:bias].reshape(outputs, inputs),
                    theta[bias:stop],
                    gradient[start:bias].reshape(outputs, inputs),
                    gradient[bias:stop],
                )
            )
            start = stop
        self.stop = start

    def forward(self, x: Float32s) -> list[Float32s]:
        """The input of every layer and then the output, such as (n, in), (n, 64), (n, 64), (n, out)."""
        activations = [x]
        for i, (weight, bias, _, _) in enumerate(self.layers):
            y = activations[-1] @ weight.T
            y += bias
            activations.append(np.tanh(y, out=y) if i < len(self.layers) - 1 else y)
        return activations

    def backward(self, activations: list[Float32s], delta: Float32s) -> None:
        """Write the gradient of a loss whose derivative in the output is `delta` (n, out)."""
        for i in reversed(range(len(self.layers))):
            weight, _, weight_gradient, bias_gradient = self.layers[i]
            np.matmul(delta.T, activations[i], out=weight_gradient)
            delta.sum(axis=0, out=bias_gradient)
            if i:
                delta = delta @ weight
                delta *= 1 - activations[i] * activations[i]


class _Columns(NamedTuple):
    """What the objective reads of n records."""

    inputs: Float32s
    action: NDArray[Any]
    log_prob: Float32s
    advantage: Float32s
    returns: Float32s
    kept: NDArray[np.bool_]
    weight: Float32s | None

    def take(self, index: Any) -> _Columns:
        columns: list[Any] = [None if column is None else column[index] for column in self]
        return _Columns(*columns)

    def shares(self) -> F32 | Float32s:
        """What each record counts in a mean: one number where all count alike, else (n,)."""
        if self.weight is None:
            return F32(1) / F32(len(self.returns))
        return self.weight / self.weight.sum()

    def mean(self, values: Float32s) -> F32:
        """Of (n,) numbers, by the weights."""
        return values.mean() if self.weight is None else (self.weight * values).sum() / self.weight.sum()

    def normalized_advantage(self) -> Float32s:
        """(n,) as `core.objective.normalize`."""
        advantage = self.advantage
        if len(advantage) < 2:
            return advantage
        if self.weight is None:
            return (advantage - advantage.mean()) / (advantage.std(ddof=1) + F32(1e-8))
        total = self.weight.sum()
        if total <= 1:
            return advantage
        deviation = advantage - (self.weight * advantage).sum() / total
        variance = (self.weight * deviation * deviation).sum() / (total - 1)
        return deviation / (np.sqrt(variance) + F32(1e-8))


class _Steps:
    """Per-record terms of the optimizer steps of an update, from which its metrics are made at the end."""

    def __init__(self) -> None:
        self.terms: list[tuple[Float32s, Float32s, Float32s]] = []
        self.squared: list[Float32s] = []
        self.norms: list[float] = []

    def metrics(self, clip_range: float) -> UpdateMetrics:
        surrogate, entropy, log_ratio = map(list, zip(*self.terms, strict=True)) if self.terms else ([], [], [])
        ratio = [np.exp(part) for part in log_ratio]
        return UpdateMetrics(
            policy_gradient_loss=-_mean_of_means(surrogate),
            value_loss=_mean_of_means(self.squared),
            entropy=_mean_of_means(entropy),
            approx_kl=_mean_of_means([r - 1 - log_r for r, log_r in zip(ratio, log_ratio, strict=True)]),
            clip_fraction=_mean_of_means([(np.abs(r - 1) > clip_range).astype(F32) for r in ratio]),
            grad_norm=float(np.mean(self.norms)) if self.norms else math.nan,
            steps=len(self.norms),
        )


def _mean_of_means(parts: Sequence[Float32s]) -> float:
    """The mean over minibatches of their means; NaN without any."""
    if not parts:
        return math.nan
    sizes = np.array([len(part) for part in parts])
    starts = np.cumsum(sizes) - sizes
    return float((np.add.reduceat(np.concatenate(parts), starts) / sizes).mean())


class ClosedFormAgent:
    """Actor, critic and optimizer state in flat float32 vectors; the order is `ActorCritic.named_parameters()`'s."""

    def __init__(
        self,
        config: TrainConfig,
        observation_space: Space,
        action_space: Space,
        tensors: Mapping[str, NDArray[Any]],
    ) -> None:
        self.config, self.observation_space, self.action_space = config, observation_space, action_space
        self.optimizer_settings = configured(config)
        prefix = "parameter/"
        self.names = [name.removeprefix(prefix) for name in tensors if name.startswith(prefix)]
        self.names.sort(key=_module_order)
        self.shapes = [tensors[prefix + name].shape for name in self.names]
        self.theta = self._flat(tensors, prefix)
        self.gradient = np.zeros_like(self.theta)
        self._scratch = np.empty_like(self.theta)
        inputs = self.shapes[0][1]
        outputs = action_space.n if action_space.kind == "discrete" else math.prod(action_space.shape)
        self.actor = Perceptron([inputs, *config.hidden, outputs], self.theta, self.gradient, 0)
        self.critic = Perceptron([inputs, *config.hidden, 1], self.theta, self.gradient, self.actor.stop)
        self.log_std = self.theta[self.critic.stop :] if action_space.kind == "box" else None
        self.step = int(tensors.get(f"optimizer/step/{self.names[0]}", 0))
        self.state = {
            key: self._flat(tensors, f"optimizer/{key}/")
            for key in ("exp_avg", "exp_avg_sq", "momentum_buffer")
            if f"optimizer/{key}/{self.names[0]}" in tensors
        }

    @property
    def policy(self) -> ActorCritic:
        """The present policy as a torch module; a copy."""
        return restore_policy(self.config, self.observation_space, self.action_space, self.tensors())

    def _flat(self, tensors: Mapping[str, NDArray[Any]], prefix: str) -> Float32s:
        try:
            return np.concatenate([tensors[prefix + name].ravel() for name in self.names]).astype(F32)
        except KeyError as error:
            raise DamagedRunError(f"the checkpoint has no {error}") from None

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`parameter/<name>` and `optimizer/<state>/<name>` as copies, named as torch names them."""
        tensors = {f"parameter/{name}": part for name, part in self._parts(self.theta)}
        for key, flat in self.state.items():
            tensors |= {f"optimizer/{key}/{name}": part for name, part in self._parts(flat)}
        if self.step:
            tensors |= {f"optimizer/step/{name}": np.array(self.step, F32) for name in self.names}
        return tensors

    def _parts(self, flat: Float32s) -> list[tuple[str, Float32s]]:
        stops = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = np.split(flat, stops[:-1])
        return [(name, p.reshape(s).copy()) for name, p, s in zip(self.names, parts, self.shapes, strict=True)]

    def encode(self, observation: NDArray[Any]) -> Float32s:
        """Observations as stored (n, ...) -> network inputs (n, d)."""
        if self.observation_space.kind == "discrete":
            inputs = np.zeros((len(observation), self.observation_space.n), F32)
            inputs[np.arange(len(observation)), observation] = 1
            return inputs
        return np.asarray(observation, F32).reshape(len(observation), -1)

    def draw_noise(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """As `ActorCritic.draw_noise`."""
        return rng.random((n, 1)) if self.log_std is None else rng.standard_normal((n, len(self.log_std)))

    def act(self, observation: NDArray[Any], noise: NDArray[np.float64]) -> NDArray[Any]:
        """As `ActorCritic.act`."""
        output = self.actor.forward(self.encode(observation))[-1]
        if self.log_std is None:
            # The ufuncs themselves: the array methods of the same name take twice as long on one row.
            cumulative = np.add.accumulate(np.exp(output - np.maximum.reduce(output, axis=1, keepdims=True)), axis=1)
            return np.add.reduce(cumulative < noise * cumulative[:, -1:], axis=1)
        return (output + np.exp(self.log_std) * noise).astype(F32)

    def value(self, observation: NDArray[Any]) -> Float32s:
        """V(s): (n, ...) observations -> (n,)."""
        return self.critic.forward(self.encode(observation))[-1][:, 0]

    def log_prob(self, observation: NDArray[Any], action: NDArray[Any]) -> Float32s:
        """Log pi(a|s): (n,)."""
        return self._head(self.actor.forward(self.encode(observation))[-1], action).log_prob

    def _head(self, output: Float32s, action: NDArray[Any]) -> Categorical | Gaussian:
        if self.log_std is None:
            return Categorical(output, action)
        return Gaussian(output, action, self.log_std)

    def update(
        self,
        buffer: RolloutBuffer,
        minibatches: NDArray[np.int32],
        *,
        weights: Float32s | None = None,
        on_step: Callable[[], None] | None = None,
        on_gradient: OnGradient | None = None,
    ) -> UpdateMetrics:
        """One PPO update in place; `core.update.update` says what the arguments mean."""
        everything = _Columns(
            self.encode(buffer.observation),
            buffer.action,
            buffer.log_prob,
            buffer.advantage,
            buffer.returns,
            buffer.kept,
            None if weights is None else np.asarray(weights, F32),
        )
        steps = _Steps()
        for order in minibatches:
            shuffled = everything.take(order)
            for start, stop, rows in kept_rows(order, self.config, buffer.critic_kept):
                if on_step is not None:
                    on_step()
                part, records = shuffled.take(slice(start, stop)), order[start:stop]
                if rows is not None:
                    part, records = part.take(rows), records[rows]
                if not self._gradient(part, steps):
                    return steps.metrics(self.config.clip_range)
                if on_gradient is not None:
                    on_gradient(records, self.theta, self.gradient)
                steps.norms.append(self._clip())
                self._descend()
        return steps.metrics(self.config.clip_range)

    def _gradient(self, part: _Columns, steps: _Steps) -> bool:
        """Write the gradient of a minibatch's loss; False if target_kl forbids the step."""
        config = self.config
        if not self._actor_gradient(part if part.kept.all() else part.take(part.kept), steps):
            return False
        critic = self.critic.forward(part.inputs)
        error = critic[-1][:, 0] - part.returns
        self.critic.backward(critic, (F32(2 * config.vf_coef) * error * part.shares())[:, None])
        steps.squared.append(error * error)
        return True

    def _clip(self) -> float:
        """Shorten the gradient to `max_grad_norm`; returns its norm before."""
        norm = math.sqrt(float(self.gradient @ self.gradient))
        scale = self.config.max_grad_norm / (norm + 1e-6)
        if scale < 1:
            self.gradient *= F32(scale)
        return norm

    def _actor_gradient(self, part: _Columns, steps: _Steps) -> bool:
        """Write the gradient of the actor's and the entropy term; False if target_kl forbids the step."""
        config = self.config
        if not len(part.returns):
            self.gradient[: self.actor.stop] = 0
            self.gradient[self.critic.stop :] = 0
            return True
        advantage = part.normalized_advantage() if config.normalize_advantage else part.advantage
        actor = self.actor.forward(part.inputs)
        head = self._head(actor[-1], part.action)
        log_ratio = head.log_prob - part.log_prob
        ratio = np.exp(log_ratio)
        if config.target_kl is not None and part.mean(ratio - 1 - log_ratio) > 1.5 * config.target_kl:
            return False
        unclipped = ratio * advantage
        clipped = np.clip(ratio, F32(1 - config.clip_range), F32(1 + config.clip_range)) * advantage
        shares = part.shares()
        # d(-mean J)/d log pi is -r A where the unclipped term is the smaller one, and 0 where clipping bites.
        slope = np.where(unclipped <= clipped, -unclipped, F32(0)) * shares
        entropy_slope = np.broadcast_to(F32(config.ent_coef) * shares, slope.shape)
        delta, log_std_gradient = head.backward(slope, entropy_slope)
        self.actor.backward(actor, delta)
        if log_std_gradient is not None:
            self.gradient[self.critic.stop :] = log_std_gradient
        steps.terms.append((np.minimum(unclipped, clipped), head.entropy(), log_ratio))
        return True

    def _descend(self) -> None:
        """One step of the optimizer on `gradient`."""
        config, gradient, scratch = self.config, self.gradient, self._scratch
        if config.optimizer == "sgd":
            if config.momentum:
                buffer = self.state.get("momentum_buffer")
                if buffer is None:
                    buffer = self.state["momentum_buffer"] = gradient.copy()
                else:
                    buffer *= F32(config.momentum)
                    buffer += gradient
                gradient = buffer
            self.theta -= np.multiply(gradient, F32(config.learning_rate), out=scratch)
            return
        self.step += 1
        first = self.state.setdefault("exp_avg", np.zeros_like(gradient))
        second = self.state.setdefault("exp_avg_sq", np.zeros_like(gradient))
        first *= F32(BETA1)
        first += np.multiply(gradient, F32(1 - BETA1), out=scratch)
        second *= F32(BETA2)
        np.multiply(gradient, gradient, out=scratch)
        second += np.multiply(scratch, F32(1 - BETA2), out=scratch)
        np.sqrt(second, out=scratch)
        scratch /= F32(math.sqrt(1 - BETA2**self.step))
        scratch += F32(EPSILON)
        np.divide(first, scratch, out=scratch)
        self.theta -= np.multiply(scratch, F32(config.learning_rate / (1 - BETA1**self.step)), out=scratch)


class Categorical:
    """The softmax distribution of (n, actions) logits, at (n,) actions."""

    def __init__(self, logits: Float32s, action: NDArray[Any]) -> None:
        shifted = logits - logits.max(axis=1, keepdims=True)
        weight = np.exp(shifted)
        total = weight.sum(axis=1, keepdims=True)
        self.log_probs = shifted - np.log(total)
        self.probs = weight / total
        self.action = action
        self.rows = np.arange(len(action))
        self.log_prob: Float32s = self.log_probs[self.rows, action]

    def entropy(self) -> Float32s:
        """(n,) entropies."""
        return -(self.probs * self.log_probs).sum(axis=1)

    def backward(self, slope: Float32s, entropy_slope: Float32s) -> tuple[Float32s, None]:
        """(n, actions) derivative of sum_i slope_i log pi_i - entropy_slope_i H_i in the logits."""
        delta = self.probs * -slope[:, None]
        delta[self.rows, self.action] += slope
        if entropy_slope.any():
            delta += entropy_slope[:, None] * self.probs * (self.log_probs + self.entropy()[:, None])
        return delta, None


class Gaussian:
    """The diagonal normal distribution with (n, d) means and a state-independent (d,) log std, at (n, d) actions."""

    def __init__(self, mean: Float32s, action: NDArray[Any], log_std: Float32s) -> None:
        self.log_std = log_std
        self.inverse_std = np.exp(-log_std)
        self.deviation = (action - mean) * self.inverse_std
        constant = F32(0.5 * math.log(2 * math.pi))
        self.log_prob: Float32s = (F32(-0.5) * self.deviation**2 - log_std - constant).sum(axis=1)

    def entropy(self) -> Float32s:
        """(n,), the same for every record."""
        value = (self.log_std + F32(0.5 * math.log(2 * math.pi * math.e))).sum()
        return np.full(len(self.log_prob), value, F32)

    def backward(self, slope: Float32s, entropy_slope: Float32s) -> tuple[Float32s, Float32s]:
        """Derivatives of sum_i slope_i log pi_i - entropy_slope_i H_i in the means (n, d) and in the log std (d,)."""
        delta = slope[:, None] * self.deviation * self.inverse_std
        log_std_gradient = (slope[:, None] * (self.deviation**2 - 1)).sum(axis=0) - entropy_slope.sum()
        return delta, log_std_gradient


def _module_order(name: str) -> tuple[int, int, bool]:
    """Sort key that gives parameter names the order in which torch lists them."""
    module, *rest = name.split(".")
    layer = int(rest[0]) if len(rest) == 2 else 0
    return ("actor", "critic", "log_std").index(module), layer, rest[-1] == "bias"

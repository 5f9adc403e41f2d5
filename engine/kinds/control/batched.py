"""Many updates of one round at once, in torch: the closed form with a leading axis of R replays.

It means what `closed_form` means and agrees with it to rounding, on any device. Every replay has parameters, removed
records and a minibatch order of its own; all take their steps side by side. On an accelerator a step's cost is in the
number of kernels and not in their size, so there is no loop over replays, and a minibatch that lost records is padded
to the width of the others: a record that is padding or was removed has weight 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.optimizer_settings import BETA1, BETA2, EPSILON
from engine.errors import BadInputError
from engine.kinds.control.closed_form import ClosedFormAgent
from engine.kinds.control.snapshot import ControlSnapshot, RolloutBuffer
from engine.store.snapshot import Float32s

STATES = {"adam": ("exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}
"""What each optimizer carries along, one number a parameter."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What every optimizer step reads, for T steps of R minibatches of up to B records.

    The records of a minibatch that it keeps come first; B is the most that any of them keeps.
    """

    index: Tensor
    """(T, R, B) record numbers; n is padding."""
    advantage: Tensor
    """(T, R, B) as the step sees them: normalised over the minibatch's records, where the update normalises."""
    actor: Tensor
    """(T, R, B) 1 / (records that the actor trains on), or 0 where it does not train on this one."""
    critic: Tensor
    """(T, R, B) likewise for the critic."""
    active: Tensor
    """(T, R) whether the minibatch keeps a record; a step without any is not taken."""


class Perceptrons:
    """R tanh networks of one shape, whose weights and gradients are views into two (R, P) tensors."""

    def __init__(self, sizes: Sequence[int], theta: Tensor, gradient: Tensor, start: int) -> None:
        self.layers: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for inputs, outputs in pairwise(sizes):
            bias, stop = start + inputs * outputs, start + (inputs + 1) * outputs
            self.layers.append(
                (
                    theta[:, start:bias].unflatten(1, (outputs, inputs)),
                    theta[:, None, bias:stop],
                    gradient[:, start:bias].unflatten(1, (outputs, inputs)),
                    gradient[:, bias:stop],
                )
            )
            start = stop
        self.stop = start

    def forward(self, x: Tensor) -> list[Tensor]:
        """The input of every layer and then the output, such as (R, n, in), (R, n, 64), (R, n, 64), (R, n, out)."""
        activations = [x]
        for i, (weight, bias, _, _) in enumerate(self.layers):
            y = torch.baddbmm(bias, activations[-1], weight.mT)
            activations.append(y.tanh_() if i < len(self.layers) - 1 else y)
        return activations

    def backward(self, activations: list[Tensor], delta: Tensor) -> None:
        """Write the gradients of losses whose derivative in the output is `delta` (R, n, out)."""
        for i in reversed(range(len(self.layers))):
            weight, _, weight_gradient, bias_gradient = self.layers[i]
            torch.bmm(delta.mT, activations[i], out=weight_gradient)
            torch.sum(delta, 1, out=bias_gradient)
            if i:
                delta = torch.bmm(delta, weight).mul_(1 - activations[i].square())


class BatchedAgents:
    """R copies of a snapshot's agent: parameters and optimizer state as (R, P), in the order of the closed form.

    Raises:
        BadInputError: the snapshot's networks have no batched form.
    """

    def __init__(
        self, snapshot: ControlSnapshot, count: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        check_batched(snapshot)
        self.config, self.buffer = snapshot.config, snapshot.buffer
        self.one = ClosedFormAgent(
            snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint
        )
        self.count, self.device, self.dtype = count, device, dtype
        self.theta = self._copies(self.one.theta)
        self.gradient = torch.zeros_like(self.theta)
        zero = np.zeros_like(self.one.theta)
        self.state = {key: self._copies(self.one.state.get(key, zero)) for key in STATES[self.config.optimizer]}
        # Float32 would lose the fourth digit of 1 - 0.999.
        self.steps = torch.full((count, 1), self.one.step, dtype=torch.float64, device=device)
        self.going = torch.ones(count, dtype=torch.bool, device=device)
        outputs = self.one.actor.layers[-1][1].size
        inputs = self.one.actor.layers[0][0].shape[1]
        self.actor = Perceptrons([inputs, *self.config.hidden, outputs], self.theta, self.gradient, 0)
        self.critic = Perceptrons([inputs, *self.config.hidden, 1], self.theta, self.gradient, self.actor.stop)
        self.columns = (inputs, outputs, 1, 1)
        self.gaussian = self.one.log_std is not None

    def update(
        self, orders: NDArray[np.int32], which: NDArray[np.intp], kept: NDArray[Any], critic: NDArray[Any]
    ) -> None:
        """One PPO update of every copy, in place; `core.update.update` says what it is.

        Args:
            orders: (Q, n_epochs, n) minibatch orders.
            which: (R,) the order of each replay.
            kept: (R, n) the records that train its actor.
            critic: (R, n) those that train its critic.
        """
        plan = self._plan(orders, which, kept, critic)
        table = self._table(self.buffer)
        for index, advantage, actor, critic_weight, active in zip(
            plan.index, plan.advantage, plan.actor, plan.critic, plan.active, strict=True
        ):
            rows = table.index_select(0, index.flatten()).unflatten(0, index.shape)
            self._gradient(rows, advantage, actor, critic_weight)
            self._clip()
            self._descend((active & self.going)[:, None])

    def log_prob(self, observation: NDArray[Any], action: NDArray[Any]) -> Tensor:
        """Log pi(a|s) of m pairs by every copy: (R, m)."""
        inputs = self._tensor(self.one.encode(observation))
        output = self.actor.forward(inputs.expand(self.count, -1, -1))[-1]
        return self._head(output, self._tensor(self._actions(action))).log_prob

    def parameters(self) -> Iterator[dict[str, NDArray[Any]]]:
        """The parameters of each copy by state_dict name."""
        sizes = [math.prod(shape) for shape in self.one.shapes]
        for theta in self.theta.cpu():
            parts = theta.split(sizes)
            yield {n: p.reshape(s).numpy() for n, p, s in zip(self.one.names, parts, self.one.shapes, strict=True)}

    def _plan(
        self, orders: NDArray[np.int32], which: NDArray[np.intp], kept: NDArray[Any], critic: NDArray[Any]
    ) -> Plan:
        n, size = kept.shape[1], self.config.batch_size
        padded = np.pad(orders, ((0, 0), (0, 0), (0, -n % size)), constant_values=n).reshape(len(orders), -1, size)
        index = torch.as_tensor(padded, dtype=torch.int64, device=self.device)
        index = index.index_select(0, torch.as_tensor(which, device=self.device))
        in_critic = self._kept(critic, index)
        width = max(1, int(in_critic.sum(-1).max()))
        # Stable, so that a minibatch without removals is summed in the order in which it was drawn.
        first = (~in_critic).to(torch.uint8).argsort(dim=-1, stable=True)[..., :width]
        index = index.gather(-1, first)
        in_actor, in_critic = self._kept(kept, index), self._kept(critic, index)
        advantage = self._tensor(np.append(self.buffer.advantage, 0))[index]
        if self.config.normalize_advantage:
            advantage = _normalized(advantage, in_actor)
        weights = (mask.to(self.dtype) / mask.sum(-1, keepdim=True).clamp(min=1) for mask in (in_actor, in_critic))
        return Plan(*(each.transpose(0, 1).contiguous() for each in (index, advantage, *weights, in_critic.any(-1))))

    def _kept(self, mask: NDArray[Any], index: Tensor) -> Tensor:
        """(R, n) and (R, T, B) -> (R, T, B); padding is not kept."""
        whole = torch.as_tensor(np.pad(mask, ((0, 0), (0, 1))), device=self.device)
        return whole.gather(1, index.flatten(1)).view(index.shape)

    def _table(self, buffer: RolloutBuffer) -> Tensor:
        """(n + 1, columns) inputs, action, log-probability and return of every record, so that a step gathers once."""
        columns = (
            self.one.encode(buffer.observation),
            self._actions(buffer.action),
            buffer.log_prob[:, None],
            buffer.returns[:, None],
        )
        return self._tensor(np.pad(np.concatenate(columns, axis=1), ((0, 1), (0, 0))))

    def _actions(self, action: NDArray[Any]) -> Float32s:
        """(m, d) continuous actions as they are, discrete ones one-hot."""
        outputs = self.columns[1]
        return action.reshape(len(action), -1) if self.gaussian else np.eye(outputs, dtype=np.float32)[action]

    def _gradient(self, rows: Tensor, advantage: Tensor, actor_weight: Tensor, critic_weight: Tensor) -> None:
        """Write the gradient of every minibatch's loss; a replay that target_kl stops takes no step any more."""
        config = self.config
        inputs, action, log_prob, returns = rows.split(self.columns, -1)
        actor = self.actor.forward(inputs)
        head = self._head(actor[-1], action)
        log_ratio = torch.where(actor_weight > 0, head.log_prob - log_prob[..., 0], 0)
        ratio = log_ratio.exp()
        if config.target_kl is not None:
            kl = (actor_weight * (ratio - 1 - log_ratio)).sum(-1)
            self.going &= ~(kl > 1.5 * config.target_kl)
        unclipped = ratio * advantage
        clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range) * advantage
        slope = torch.where(unclipped <= clipped, unclipped, 0).mul_(actor_weight).neg_()
        self.actor.backward(actor, head.backward(slope, config.ent_coef, actor_weight))
        if isinstance(head, Gaussians):
            self.gradient[:, self.critic.stop :] = head.log_std_gradient(slope, config.ent_coef, actor_weight)
        critic = self.critic.forward(inputs)
        self.critic.backward(critic, (critic[-1] - returns).mul_((2 * config.vf_coef) * critic_weight[..., None]))

    def _head(self, output: Tensor, action: Tensor) -> Categoricals | Gaussians:
        return (
            Gaussians(output, action, self.theta[:, None, self.critic.stop :])
            if self.gaussian
            else Categoricals(output, action)
        )

    def _clip(self) -> None:
        """Shorten each replay's gradient to `max_grad_norm`."""
        norm = torch.linalg.vector_norm(self.gradient, dim=1, keepdim=True)
        self.gradient *= (self.config.max_grad_norm / (norm + 1e-6)).clamp(max=1)

    def _descend(self, active: Tensor) -> None:
        """One step of the optimizer on `gradient` for the replays (R, 1) that take one; the others stay as they are."""
        config, gradient = self.config, self.gradient
        moving = active.to(self.dtype)
        if config.optimizer == "sgd":
            if config.momentum:
                buffer = self.state["momentum_buffer"]
                buffer.mul_(1 - moving * (1 - config.momentum)).add_(gradient * moving)
                gradient = buffer
            self.theta -= gradient * (config.learning_rate * moving)
            return
        self.steps += active
        taken = self.steps.clamp(min=1)
        first, second = self.state["exp_avg"], self.state["exp_avg_sq"]
        first.lerp_(gradient, moving * (1 - BETA1))
        second.lerp_(gradient.square(), moving * (1 - BETA2))
        size = (config.learning_rate / (1 - BETA1**taken)).to(self.dtype) * moving
        scale = (1 - BETA2**taken).rsqrt().to(self.dtype)
        self.theta -= (first * size).div_(second.sqrt().mul_(scale).add_(EPSILON))

    def _copies(self, flat: Float32s) -> Tensor:
        return self._tensor(flat).repeat(self.count, 1)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.as_tensor(array, dtype=self.dtype, device=self.device)


class Categoricals:
    """The softmax distributions of (R, n, actions) logits, at one-hot actions (R, n, actions) or (n, actions)."""

    def __init__(self, logits: Tensor, action: Tensor) -> None:
        self.log_probs = logits.log_softmax(-1)
        self.action = action
        self.log_prob = (self.log_probs * action).sum(-1)

    def backward(self, slope: Tensor, ent_coef: float, weight: Tensor) -> Tensor:
        """(R, n, actions) derivative of sum_i slope_i log pi_i - ent_coef weight_i H_i in the logits."""
        probs = self.log_probs.exp()
        delta = (self.action - probs).mul_(slope[..., None])
        if ent_coef:
            mean = (probs * self.log_probs).sum(-1, keepdim=True)
            delta += (ent_coef * weight)[..., None] * probs * (self.log_probs - mean)
        return delta


class Gaussians:
    """Diagonal normal distributions with (R, n, d) means and state-independent (R, 1, d) log std, at given actions."""

    def __init__(self, mean: Tensor, action: Tensor, log_std: Tensor) -> None:
        self.inverse_std = (-log_std).exp()
        self.deviation = (action - mean) * self.inverse_std
        self.log_prob = (-0.5 * self.deviation.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def backward(self, slope: Tensor, ent_coef: float, weight: Tensor) -> Tensor:
        """(R, n, d) derivative of sum_i slope_i log pi_i - ent_coef weight_i H_i in the means."""
        return slope[..., None] * self.deviation * self.inverse_std

    def log_std_gradient(self, slope: Tensor, ent_coef: float, weight: Tensor) -> Tensor:
        """(R, d) the same in the log std."""
        return (slope[..., None] * (self.deviation.square() - 1)).sum(1) - ent_coef * weight.sum(1, keepdim=True)


def check_batched(snapshot: ControlSnapshot) -> None:
    """Whether the snapshot's networks have a batched form.

    Raises:
        BadInputError: they have convolutions.
    """
    if snapshot.observation_space.encoder == "image":
        raise BadInputError(
            f"{snapshot.config.env_id} shows images, and there is no batched form of convolutions; replay it with "
            "--device cpu"
        )


def bytes_a_replay(snapshot: ControlSnapshot, dtype: torch.dtype = torch.float32) -> int:
    """An upper estimate of what one replay of a batch takes on the device."""
    config, buffer = snapshot.config, snapshot.buffer
    parameters = sum(tensor.size for tensor in snapshot.parameters.values())
    planned = config.n_epochs * (len(buffer) + config.batch_size)
    inputs = snapshot.parameters["actor.0.weight"].shape[1]
    step = config.batch_size * (2 * inputs + 6 * sum(config.hidden) + 64)
    # theta, gradient, two states and three temporary ones; the plan and what it is made of are eight numbers a record.
    return dtype.itemsize * (7 * parameters + 2 * step) + 8 * 8 * planned


def _normalized(advantage: Tensor, kept: Tensor) -> Tensor:
    """(..., B) with mean 0 and unbiased standard deviation 1 over the kept ones; a single one is left as it is."""
    count = kept.sum(-1, keepdim=True)
    centred = torch.where(kept, advantage - (advantage * kept).sum(-1, keepdim=True) / count.clamp(min=1), 0)
    deviation = (centred.square().sum(-1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    return torch.where(count > 1, centred / (deviation + 1e-8), advantage)

"""The optimizers read backwards: what a gradient at step t does to the parameters after it.

They follow a trace. `carry` describes a step as linear in the gradients, which is what path-summed estimators need;
`pull_back` is the exact derivative of the step in everything that it reads.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from engine.config import TrainConfig
from engine.core.gradients.steps import Trace, Vector
from engine.core.optimizer_settings import AdamSettings, OtherSettings, SgdSettings
from engine.errors import BadInputError

State = tuple[Vector, ...]
"""Adjoints of the optimizer's state: Adam's two moments, or the momentum buffer."""


class Adjoints(NamedTuple):
    """What the result depends on before a step, and how much."""

    gradient: Vector
    """The step's clipped gradient."""
    theta: Vector
    """theta_{t-1}, through the step itself: the gradient's own dependence on it is not in here."""
    state: State
    """The optimizer's state before the step."""


class Optimizer(Protocol):
    """A step t moves theta by - gain_t * moment_t, with moment_t = decay * moment_{t-1} + the clipped gradient.

    This leaves out weight decay, dampening and Nesterov's look ahead, which `carry` and `pull_back` know.
    """

    decay: float
    """Share of the last step's moment that is carried over."""

    def gain(self, t: int) -> Any:
        """(p,) or one number: how far the step's moment moves each parameter, without a sign."""
        ...

    def carry(self, t: int, gradient: Vector, carried: Vector) -> tuple[Vector, Vector]:
        """What f gains from the step's clipped gradient, in this step and through the momentum in all later ones.

        Args:
            t: number of the step within the trace.
            gradient: grad f(theta_{t-1}), by which each step's move is valued. The preconditioner is taken as given.
            carried: what the later step had to carry; 0 after the last one.

        Returns:
            The direction d_t, without a sign, and what an earlier step has to carry.
        """
        ...

    def begin(self) -> State:
        """The adjoints of the state after the last step: all 0, nobody looks at it any more."""
        ...

    def pull_back(self, t: int, theta: Vector, state: State) -> Adjoints:
        """From adjoints after step t to those before it.

        Args:
            t: number of the step within the trace.
            theta: adjoint of theta_t.
            state: adjoints of the state after the step.
        """
        ...


class Sgd:
    """g'_t = g_t + weight_decay * theta_{t-1}; b_t = momentum * b_{t-1} + (1 - dampening) * g'_t, but b_1 = g'_1.

    theta_t = theta_{t-1} - eta * b_t, or with Nesterov's look ahead theta_{t-1} - eta * (g'_t + momentum * b_t).
    """

    def __init__(self, settings: SgdSettings, trace: Trace) -> None:
        self.settings, self.rate, self.decay = settings, settings.learning_rate, settings.momentum
        self.after, self.begins = trace.after, "momentum_buffer" not in trace.state

    def gain(self, t: int) -> float:
        """The step size."""
        return self.rate

    def carry(self, t: int, gradient: Vector, carried: Vector) -> tuple[Vector, Vector]:
        """Through the buffer, and beside it where it looks ahead."""
        moved = self.gain(t) * gradient
        carried = self.decay * carried + moved
        through = self._share(t) * carried
        return (moved + self.decay * through if self.settings.nesterov else through), carried

    def begin(self) -> State:
        """(b_T,)."""
        return (np.zeros_like(self.after),)

    def pull_back(self, t: int, theta: Vector, state: State) -> Adjoints:
        """Linear, so nothing of the trace's values is in it."""
        moved = -self.rate * theta
        ahead = self.settings.nesterov
        buffer = state[0] + (self.decay * moved if ahead else moved)
        gradient = self._share(t) * buffer
        if ahead:
            gradient = gradient + moved
        return Adjoints(gradient, theta + self.settings.weight_decay * gradient, (self.decay * buffer,))

    def _share(self, t: int) -> float:
        """Of a gradient in the buffer: the first one is taken as it is."""
        first = self.begins and t == 0
        return 1.0 if first or not self.decay else 1.0 - self.settings.dampening


class Adam:
    """m_t = b1 m_{t-1} + (1 - b1) g_t; v_t likewise of g_t^2; theta_t = theta_{t-1} - eta m^_t / (sqrt(v^_t) + eps).

    Weights decay within g_t (weight_decay * theta_{t-1} is added to it) or, decoupled, in theta_t (eta * weight_decay *
    theta_{t-1} is taken from it).
    """

    def __init__(self, settings: AdamSettings, max_grad_norm: float, trace: Trace) -> None:
        self.settings, self.max_grad_norm, self.trace = settings, max_grad_norm, trace
        self.rate, (self.decay, self.second_decay) = settings.learning_rate, settings.betas
        self.in_gradient = 0.0 if settings.decoupled else settings.weight_decay
        self.left = 1.0 - self.rate * settings.weight_decay if settings.decoupled else 1.0
        first = trace.state.get("exp_avg", np.zeros_like(trace.after))
        second = trace.state.get("exp_avg_sq", np.zeros_like(trace.after))
        self.moments = []
        for t in range(len(trace.steps)):
            gradient = self._taken(t)
            first = self.decay * first + (1 - self.decay) * gradient
            second = self.second_decay * second + (1 - self.second_decay) * gradient * gradient
            self.moments.append((first, second))

    def _taken(self, t: int) -> Vector:
        """The gradient as the moments take it: clipped, and with what decays the weights through it."""
        step = self.trace.steps[t]
        clipped = clip_scale(step.gradient, self.max_grad_norm) * step.gradient
        return clipped + self.in_gradient * step.theta if self.in_gradient else clipped

    def _denominator(self, t: int) -> tuple[Vector, float]:
        """Sqrt(v^_t) + eps, and the root of v's bias correction."""
        correction = math.sqrt(1 - self.second_decay ** (self.trace.count + t + 1))
        return np.sqrt(self.moments[t][1]) / correction + self.settings.eps, correction

    def _rate(self, t: int) -> float:
        return self.rate / (1 - self.decay ** (self.trace.count + t + 1))

    def gain(self, t: int) -> Vector:
        """The preconditioner D_t = 1 / (sqrt(v^_t) + eps), with the step size and the gradient's share of m^_t."""
        return (1 - self.decay) * self._rate(t) / self._denominator(t)[0]

    def carry(self, t: int, gradient: Vector, carried: Vector) -> tuple[Vector, Vector]:
        """Through the first moment."""
        carried = self.decay * carried + self.gain(t) * gradient
        return carried, carried

    def begin(self) -> State:
        """(m_T, v_T)."""
        return np.zeros_like(self.trace.after), np.zeros_like(self.trace.after)

    def pull_back(self, t: int, theta: Vector, state: State) -> Adjoints:
        """Where v_t is 0, every gradient so far was 0 and the root's slope is left out."""
        first, second = state
        m, v = self.moments[t]
        denominator, correction = self._denominator(t)
        pushed = self._rate(t) * theta / denominator
        root = 2 * np.sqrt(v) * correction
        slope = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
        first = first - pushed
        second = second + pushed * m / denominator * slope
        gradient = (1 - self.decay) * first + 2 * (1 - self.second_decay) * self._taken(t) * second
        before = self.left * theta + self.in_gradient * gradient
        return Adjoints(gradient, before, (self.decay * first, self.second_decay * second))


def follow(config: TrainConfig, trace: Trace) -> Optimizer:
    """The optimizer of a traced update.

    Args:
        config: says at which norm gradients were clipped.
        trace: the update, with its optimizer's settings.

    Raises:
        BadInputError: how it steps is not known here.
    """
    match trace.optimizer:
        case AdamSettings() as settings:
            return Adam(settings, config.max_grad_norm, trace)
        case SgdSettings() as settings:
            return Sgd(settings, trace)
        case OtherSettings(words):
            raise BadInputError(
                f"this run was trained by {words}, whose steps are not followed backwards here; those of Adam, AdamW and SGD "
                "are. Take tracin or first_order"
            )


def clip_scale(gradient: Vector, max_norm: float) -> float:
    """What clipping multiplied the gradient by: 1 where it was short enough."""
    return min(1.0, max_norm / (float(np.linalg.norm(gradient)) + 1e-6))


def clip_pull_back(gradient: Vector, adjoint: Vector, max_norm: float) -> Vector:
    """From the adjoint of the clipped gradient to that of the gradient itself; the norm depends on it, too."""
    norm = float(np.linalg.norm(gradient))
    scale = max_norm / (norm + 1e-6)
    if scale >= 1:
        return adjoint
    return scale * adjoint - (scale / (norm + 1e-6) / norm * float(gradient @ adjoint)) * gradient

"""The optimizers read backwards: what a gradient at step t does to the parameters after it.

Both follow a trace. `gain` and `decay` describe a step as linear in the gradients, which is what path-summed estimators
need; `pull_back` is the exact derivative of the step in everything that it reads.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from engine.config import TrainConfig
from engine.core.gradients.steps import Trace, Vector
from engine.errors import BadInputError

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-5
"""Adam's, of every run; torch's defaults but for the last, which is Stable-Baselines3's for PPO."""
State = tuple[Vector, ...]
"""Adjoints of the optimizer's state: Adam's two moments, or the momentum buffer."""


class Optimizer(Protocol):
    """A step t moves theta by - gain_t * sum_{s <= t} decay^(t - s) g_s, g_s being the clipped gradients."""

    decay: float
    """Share of the last step's moment that is carried over."""

    def gain(self, t: int) -> Any:
        """(p,) or one number: how far the step's own clipped gradient moves each parameter, without a sign."""
        ...

    def begin(self) -> State:
        """The adjoints of the state after the last step: all 0, nobody looks at it any more."""
        ...

    def pull_back(self, t: int, theta: Vector, state: State) -> tuple[Vector, State]:
        """From adjoints after step t to those before it.

        Args:
            t: number of the step within the trace.
            theta: adjoint of theta_t. That of theta_{t-1} through the step itself is the same.
            state: adjoints of the state after the step.

        Returns:
            The adjoint of the step's clipped gradient, and those of the state before the step.
        """
        ...


class Sgd:
    """b_t = momentum * b_{t-1} + g_t; theta_t = theta_{t-1} - eta * b_t."""

    def __init__(self, config: TrainConfig, trace: Trace) -> None:
        self.rate, self.decay, self.after = config.learning_rate, config.momentum, trace.after

    def gain(self, t: int) -> float:
        """The step size."""
        return self.rate

    def begin(self) -> State:
        """(b_T,)."""
        return (np.zeros_like(self.after),)

    def pull_back(self, t: int, theta: Vector, state: State) -> tuple[Vector, State]:
        """Linear, so the adjoint of b_t is also that of g_t."""
        buffer = state[0] - self.rate * theta
        return buffer, (self.decay * buffer,)


class Adam:
    """m_t = b1 m_{t-1} + (1 - b1) g_t; v_t likewise of g_t^2; theta_t = theta_{t-1} - eta m^_t / (sqrt(v^_t) + eps)."""

    decay = BETA1

    def __init__(self, config: TrainConfig, trace: Trace) -> None:
        self.rate, self.max_grad_norm, self.trace = config.learning_rate, config.max_grad_norm, trace
        first = trace.state.get("exp_avg", np.zeros_like(trace.after))
        second = trace.state.get("exp_avg_sq", np.zeros_like(trace.after))
        self.moments = []
        for t in range(len(trace.steps)):
            gradient = self._clipped(t)
            first = BETA1 * first + (1 - BETA1) * gradient
            second = BETA2 * second + (1 - BETA2) * gradient * gradient
            self.moments.append((first, second))

    def _clipped(self, t: int) -> Vector:
        gradient = self.trace.steps[t].gradient
        return clip_scale(gradient, self.max_grad_norm) * gradient

    def _denominator(self, t: int) -> tuple[Vector, float]:
        """Sqrt(v^_t) + eps, and the root of v's bias correction."""
        correction = math.sqrt(1 - BETA2 ** (self.trace.count + t + 1))
        return np.sqrt(self.moments[t][1]) / correction + EPSILON, correction

    def _rate(self, t: int) -> float:
        return self.rate / (1 - BETA1 ** (self.trace.count + t + 1))

    def gain(self, t: int) -> Vector:
        """The preconditioner D_t = 1 / (sqrt(v^_t) + eps), with the step size and the gradient's share of m^_t."""
        return (1 - BETA1) * self._rate(t) / self._denominator(t)[0]

    def begin(self) -> State:
        """(m_T, v_T)."""
        return np.zeros_like(self.trace.after), np.zeros_like(self.trace.after)

    def pull_back(self, t: int, theta: Vector, state: State) -> tuple[Vector, State]:
        """Where v_t is 0, every gradient so far was 0 and the root's slope is left out."""
        first, second = state
        m, v = self.moments[t]
        denominator, correction = self._denominator(t)
        pushed = self._rate(t) * theta / denominator
        root = 2 * np.sqrt(v) * correction
        slope = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
        first = first - pushed
        second = second + pushed * m / denominator * slope
        gradient = (1 - BETA1) * first + 2 * (1 - BETA2) * self._clipped(t) * second
        return gradient, (BETA1 * first, BETA2 * second)


def follow(config: TrainConfig, trace: Trace) -> Optimizer:
    """The optimizer of a traced update.

    Raises:
        BadInputError: how it steps is not known here.
    """
    if config.optimizer == "other":
        raise BadInputError(
            "this run was trained with an optimizer other than Adam (eps 1e-5, no weight decay) and plain SGD, whose steps are "
            "not followed backwards here; take tracin or first_order"
        )
    return Adam(config, trace) if config.optimizer == "adam" else Sgd(config, trace)


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

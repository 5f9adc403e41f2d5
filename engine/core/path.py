"""Estimators that follow the update step by step: the paper's TracIn sum, and what lies between it and the exact derivative.

All of them credit record i with the sum over the steps t that used it of <d_t, grad J_i(theta_{t-1})> / n_t, where n_t is
the number of records that the term trains on in that minibatch. They differ in the direction d_t; and the exact derivative
also has what the record's weight takes from the others' share. The result has the unit of f: what raising the record's
weight by 1 adds to f(theta_T), to first order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.backends import zero_gradient
from engine.core.checkpoint import restore_policy
from engine.core.derivatives import Derivatives, TorchDerivatives
from engine.core.layers import WHOLE, Layers, parts_of
from engine.core.optimizers import clip_pull_back, clip_scale, follow
from engine.core.steps import Step, Trace, Vector, trace_update
from engine.core.targets import Described, Target
from engine.errors import BadInputError
from engine.kinds.control.closed_form_derivatives import ClosedFormDerivatives
from engine.store.snapshot import Snapshot

OnStep = Callable[[], None]
AnyTarget = TypeVar("AnyTarget", bound=Described)
Credits = NDArray[np.float64]
"""(layers, 3, n) influence by layer, term (`derivatives.TERMS`) and record; 0 for records that the update went without."""


def tracin(snapshot: Snapshot, target: Target, on_step: OnStep | None = None, layers: Layers = WHOLE) -> Credits:
    """d_t = eta * grad f(theta_{t-1}): every step as plain gradient ascent (Pruthi et al. 2020, as the paper uses it).

    What the optimizer makes of a gradient (clipping, momentum, preconditioning) is left out. Of an update in a single step
    on the whole buffer it is eta / n times `first_order`.

    Args:
        snapshot: round k.
        target: f.
        on_step: called before every step; raise from it to cancel.
        layers: to split by; by default one, the whole vector.

    Raises:
        ZeroGradientError: grad f is zero all along the update.
    """
    return _along(snapshot, target, "tracin", on_step, layers)


def tracin_adam(snapshot: Snapshot, target: Target, on_step: OnStep | None = None, layers: Layers = WHOLE) -> Credits:
    """As `tracin`, with every step as the optimizer took it: preconditioner, clip factor and momentum.

    d_t = c_t * sum_{s >= t} decay^(s - t) * gain_s * grad f(theta_{s-1}). c_t is the factor of the step's gradient clip. A
    gradient moves theta in its own step and, through the momentum, in those after it. gain_s of Adam is
    eta (1 - b1) / (1 - b1^s) / (sqrt(v^_s) + eps) with decay b1; of SGD it is eta, with the momentum as decay. The
    preconditioner and c_t are taken as given: how a record changes them is `replay_gradient`'s part.

    Args and errors are those of `tracin`.
    """
    return _along(snapshot, target, "tracin_adam", on_step, layers)


def replay_gradient(
    snapshot: Snapshot, target: Target, on_step: OnStep | None = None, layers: Layers = WHOLE
) -> Credits:
    """The exact derivative of f(theta_T) in each record's weight, back-propagated through the whole update.

    Weights are those of `ppo.update`, where weight 0 is a removal: the minibatches' means, the normalisation of the
    advantages, gradient clip, moments and the curvature of every step are differentiated. One record's weight takes from the
    others' share, so the scores of a round sum to nearly 0 (but for the n - 1 in the advantages' spread). Where target_kl
    stopped the update, the number of steps is taken as given.

    Args and errors are those of `tracin`; here f's gradient is the one at theta_T.

    Raises:
        BadInputError: every record is a minibatch of its own, whose weight changes nothing.
    """
    if snapshot.config.batch_size == 1:
        raise BadInputError(
            "with batch_size 1 a record is a minibatch of its own and its weight changes nothing, so replay_gradient is zero "
            "for all; take another estimator"
        )
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    derivatives = TorchDerivatives(policy, snapshot.buffer, snapshot.config)
    return back_propagate(snapshot, trace_update(snapshot), target, derivatives, on_step, layers)


def back_propagate(
    snapshot: Snapshot,
    trace: Trace,
    target: Target,
    derivatives: TorchDerivatives,
    on_step: OnStep | None = None,
    layers: Layers = WHOLE,
) -> Credits:
    """`replay_gradient` of an update that was traced already; the policy's precision is the one that it computes in."""
    optimizer = follow(snapshot.config, trace)
    credits = np.zeros((len(layers), 3, len(snapshot.buffer)))
    theta = derivatives.target_gradient(trace.after, target)
    if not theta.any():
        raise zero_gradient(target)
    state = optimizer.begin()
    for t in reversed(range(len(trace.steps))):
        if on_step is not None:
            on_step()
        step = trace.steps[t]
        clipped, state = optimizer.pull_back(t, theta, state)
        # Adjoints are those of the loss's gradient; the objective's has the other sign.
        direction = -clip_pull_back(step.gradient, clipped, snapshot.config.max_grad_norm)
        parts = list(parts_of(direction, layers))
        products, curvature = derivatives.second_order(step.theta, step.records, parts)
        credits[:, :, step.records] += products
        theta = theta + curvature
    return credits


def _along(snapshot: Snapshot, target: Target, estimator: str, on_step: OnStep | None, layers: Layers) -> Credits:
    """The sum of the inner products with the estimator's directions, from the last step to the first."""
    derivatives = derivatives_of(snapshot)
    credits = np.zeros((len(layers), 3, len(snapshot.buffer)))
    trace = trace_update(snapshot)
    for step, direction in directions_back(
        estimator, snapshot.config, trace, target, derivatives.target_gradient, on_step
    ):
        for credit, part in zip(credits, parts_of(direction, layers), strict=True):
            if part.any():
                credit[:, step.records] += derivatives.products(step.theta, step.records, part)
    return credits


def directions_back(
    estimator: str,
    config: TrainConfig,
    trace: Trace,
    target: AnyTarget,
    gradient_at: Callable[[Vector, AnyTarget], Vector],
    on_step: OnStep | None = None,
) -> Iterator[tuple[Step, Vector]]:
    """Every step of an update with its direction d_t, from the last to the first.

    Args:
        estimator: `tracin` or `tracin_adam`.
        config: of the run.
        trace: the update.
        target: f.
        gradient_at: (theta, f) -> grad f(theta).
        on_step: called before every step; raise from it to cancel.

    Raises:
        ZeroGradientError: grad f is zero all along the update.
    """
    direction = DIRECTIONS[estimator](config, trace)
    flat = True
    for t in reversed(range(len(trace.steps))):
        if on_step is not None:
            on_step()
        gradient = gradient_at(trace.steps[t].theta, target)
        flat = flat and not gradient.any()
        yield trace.steps[t], direction(t, gradient)
    if flat and trace.steps:
        raise zero_gradient(target)


def _plain_ascent(config: TrainConfig, _trace: Trace) -> Callable[[int, Vector], Vector]:
    return lambda _t, gradient: config.learning_rate * gradient


def _as_optimized(config: TrainConfig, trace: Trace) -> Callable[[int, Vector], Vector]:
    optimizer = follow(config, trace)
    carried = np.zeros_like(trace.after)

    def direction(t: int, gradient: Vector) -> Vector:
        nonlocal carried
        carried = optimizer.decay * carried + optimizer.gain(t) * gradient
        return clip_scale(trace.steps[t].gradient, config.max_grad_norm) * carried

    return direction


DIRECTIONS = {"tracin": _plain_ascent, "tracin_adam": _as_optimized}
"""Estimator -> its d_t as a function of t and grad f(theta_{t-1}), asked for from the last step to the first."""


def derivatives_of(snapshot: Snapshot) -> Derivatives:
    """On the path that the run was trained on."""
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    by_torch = TorchDerivatives(policy, snapshot.buffer, snapshot.config)
    return ClosedFormDerivatives(snapshot, policy, by_torch) if snapshot.config.path == "closed_form" else by_torch

"""Estimators that follow the update step by step: the paper's TracIn sum, and what lies between it and the exact derivative.

All of them credit record i with the sum over the steps t that used it of <d_t, grad J_i(theta_{t-1})> / n_t, where n_t is
the number of records that the term trains on in that minibatch. They differ in the direction d_t; and the exact derivative
also has what the record's weight takes from the others' share. The result has the unit of f: what raising the record's
weight by 1 adds to f(theta_T), to first order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.gradients.attribution import TERMS, Attribution
from engine.core.gradients.derivatives import Derivatives, TorchDerivatives
from engine.core.gradients.inner_products import zero_gradient
from engine.core.gradients.layers import WHOLE, Layers, layers_of, parts_of
from engine.core.gradients.optimizer_adjoints import clip_pull_back, clip_scale, follow
from engine.core.gradients.steps import Step, Trace, Vector
from engine.core.kind import kind_of
from engine.core.replays.update_trace import trace_update
from engine.core.targets.functions import Target
from engine.errors import BadInputError
from engine.store.snapshot import Snapshot

OnStep = Callable[[], None]
Credits = NDArray[np.float64]
"""(layers, 3, n) influence by layer, term (`gradients.attribution.TERMS`) and record; 0 for records not in the update."""


def replay_gradient(
    snapshot: Snapshot, target: Target, on_step: OnStep | None = None, layers: Layers = WHOLE
) -> Credits:
    """The exact derivative of f(theta_T) in each record's weight, back-propagated through the whole update.

    Weights are those of `update.update`, where weight 0 is a removal: the minibatches' means, the normalisation of the
    advantages, gradient clip, moments and the curvature of every step are differentiated. One record's weight takes from the
    others' share, so the scores of a round sum to nearly 0 (but for the n - 1 in the advantages' spread). Where target_kl
    stopped the update, the number of steps is taken as given.

    Args:
        snapshot: round k.
        target: f.
        on_step: called before every step; raise from it to cancel.
        layers: to split by; by default one, the whole vector.

    Raises:
        ZeroGradientError: grad f is zero at theta_T.
        BadInputError: every record is a minibatch of its own, whose weight changes nothing.
    """
    if all(stop - start == 1 for start, stop in snapshot.config.cuts(len(snapshot.buffer))):
        raise BadInputError(
            "with batch_size 1 a record is a minibatch of its own and its weight changes nothing, so replay_gradient is zero "
            "for all; take another estimator"
        )
    derivatives = kind_of(snapshot).torch_derivatives(snapshot)
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
        clipped, theta, state = optimizer.pull_back(t, theta, state)
        # Adjoints are those of the loss's gradient; the objective's has the other sign.
        direction = -clip_pull_back(step.gradient, clipped, snapshot.config.max_grad_norm)
        parts = list(parts_of(direction, layers))
        products, curvature = derivatives.second_order(step.theta, step.records, parts)
        credits += products
        theta = theta + curvature
    return credits


def _along(
    snapshot: Snapshot,
    target: Target,
    estimator: str,
    on_step: OnStep | None,
    layers: Layers,
    derivatives: Derivatives,
) -> Credits:
    """The sum of the inner products with the estimator's directions, from the last step to the first."""
    credits = np.zeros((len(layers), 3, len(snapshot.buffer)))
    trace = trace_update(snapshot)
    for step, direction in directions_back(
        estimator, snapshot.config, trace, target, derivatives.target_gradient, on_step
    ):
        for credit, part in zip(credits, parts_of(direction, layers), strict=True):
            if part.any():
                records, terms = derivatives.credit(step.theta, step.records, part)
                credit[:, records] += terms
    return credits


def stepwise(
    estimator: str, snapshot: Snapshot, target: Target, on_step: OnStep | None = None, by_layer: bool = False
) -> Attribution:
    """`tracin` or `tracin_adam`, with what records are made of where the kind of run tells it.

    Args:
        estimator: whose directions, see `DIRECTIONS`.
        snapshot: round k.
        target: f.
        on_step: called before every step; raise from it to cancel.
        by_layer: split by layer, too.

    Raises:
        ZeroGradientError: grad f is zero all along the update.
    """
    derivatives = kind_of(snapshot).derivatives(snapshot)
    layers = _layers(snapshot, by_layer)
    credits = _along(snapshot, target, estimator, on_step, list(layers.values()) or WHOLE, derivatives)
    return derivatives.finished(_added_up(credits, layers))


def exactly(snapshot: Snapshot, target: Target, on_step: OnStep | None = None, by_layer: bool = False) -> Attribution:
    """`replay_gradient` by its parts."""
    layers = _layers(snapshot, by_layer)
    return _added_up(replay_gradient(snapshot, target, on_step, list(layers.values()) or WHOLE), layers)


def _layers(snapshot: Snapshot, by_layer: bool) -> dict[str, slice]:
    return layers_of(kind_of(snapshot).policy(snapshot)) if by_layer else {}


def _added_up(credits: Credits, layers: Mapping[str, slice]) -> Attribution:
    """(layers, 3, n) -> by record, and by the names of the terms and of the layers."""
    whole = credits.sum(axis=0)
    return Attribution(
        whole.sum(axis=0).astype(np.float32),
        {term: part.astype(np.float32) for term, part in zip(TERMS, whole, strict=True)},
        {layer: part.sum(axis=0).astype(np.float32) for layer, part in zip(layers, credits, strict=False)},
    )


def directions_back(
    estimator: str,
    config: TrainConfig,
    trace: Trace,
    target: Target,
    gradient_at: Callable[[Vector, Target], Vector],
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
    """`tracin`: every step as plain gradient ascent (Pruthi et al. 2020, as the paper uses it), d_t = eta * grad f(theta_{t-1}).

    What the optimizer makes of a gradient (clipping, momentum, preconditioning) is left out. Of an update in a single step
    on the whole buffer it is eta / n times `first_order`.
    """
    return lambda _t, gradient: config.learning_rate * gradient


def _as_optimized(config: TrainConfig, trace: Trace) -> Callable[[int, Vector], Vector]:
    """`tracin_adam`: every step as the optimizer took it, with preconditioner, clip factor and momentum.

    d_t = c_t * sum_{s >= t} decay^(s - t) * gain_s * grad f(theta_{s-1}). c_t is the factor of the step's gradient clip. A
    gradient moves theta in its own step and, through the momentum, in those after it. gain_s of Adam is
    eta (1 - b1) / (1 - b1^s) / (sqrt(v^_s) + eps) with decay b1; of SGD it is eta, with the momentum as decay
    (`optimizer_adjoints.Sgd.carry` has dampening and Nesterov's look ahead). The preconditioner and c_t are taken as given: how
    a record changes them is `replay_gradient`'s part, and so is what a decay of the weights leaves of its moves.
    """
    optimizer = follow(config, trace)
    carried = np.zeros_like(trace.after)

    def direction(t: int, gradient: Vector) -> Vector:
        nonlocal carried
        moved, carried = optimizer.carry(t, gradient, carried)
        return clip_scale(trace.steps[t].gradient, config.max_grad_norm) * moved

    return direction


DIRECTIONS = {"tracin": _plain_ascent, "tracin_adam": _as_optimized}
"""Estimator -> its d_t as a function of t and grad f(theta_{t-1}), asked for from the last step to the first."""

"""Estimators of influence, by name. They compute; reading, writing and caching is `attribution.influence`'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.backends import Backend, Direction, Term, gradient, inner_products, touches_value
from engine.core.checkpoint import restore_policy
from engine.core.derivatives import TERMS
from engine.core.layers import WHOLE, Layers, layer_of, layers_of
from engine.core.objective import Batch
from engine.core.path import Credits, OnStep, replay_gradient, tracin, tracin_adam
from engine.core.policy import Policy
from engine.core.regression import REPLAY_REGRESSION, TRAINING_ORDERS, RecordGradients, fit_to_replays
from engine.core.replays import Progress
from engine.core.targets import LogProbTarget, Target
from engine.kinds.control.networks import ActorCritic
from engine.kinds.control.ppo import as_batch
from engine.kinds.control.round_gradients import first_epoch_advantages, round_gradients
from engine.store.snapshot import Float32s, Snapshot

DEFAULT_ESTIMATOR = "first_order"
PRIOR = "tracin_adam"
"""What `replay_regression` starts from: the best analytic estimator."""


class Attribution(NamedTuple):
    """What an estimator says of a round."""

    influence: Float32s
    """(n,) the sum of its terms, and of its layers."""
    terms: Mapping[Term, Float32s]
    """(n,) each: what the record did through the actor's, the critic's and the entropy term of its objective."""
    layers: Mapping[str, Float32s]
    """(n,) each: what it did by moving each layer of the policy; empty where nobody asked."""

    def map(self, change: Callable[..., Float32s], *others: Attribution) -> Attribution:
        """A linear function of this and other attributions, in all and part by part."""
        return Attribution(
            change(self.influence, *(other.influence for other in others)),
            {term: change(part, *(other.terms[term] for other in others)) for term, part in self.terms.items()},
            {layer: change(part, *(other.layers[layer] for other in others)) for layer, part in self.layers.items()},
        )


def first_order(snapshot: Snapshot, target: Target, backend: Backend | None = None) -> Float32s:
    """I_i = <grad f(theta(k)), grad J_i(theta(k))>: one inner product before the update (paper, eq. 4).

    Advantages are normalised as the first epoch's minibatches were. This computes by torch, whatever the networks;
    `first_order_parts` agrees with it to rounding.

    Args:
        snapshot: round k.
        target: f.
        backend: see `backends.inner_products`.

    Returns:
        (n,) influence of each record; positive means that it raised f. 0 for records that the update went without.
    """
    policy, batch = _at_theta_k(snapshot)
    found = inner_products(policy, batch, snapshot.config, gradient(target, policy), backend)
    return _where(snapshot.buffer.critic_kept, found.detach().numpy())


def first_order_parts(
    snapshot: Snapshot, target: Target, on_step: OnStep | None = None, by_layer: bool = False
) -> Attribution:
    """`first_order` with its parts, from the round's kept gradients where they can answer."""
    if on_step is not None:
        on_step()
    gradients = None if by_layer else round_gradients(snapshot)
    if gradients is None or not isinstance(target, LogProbTarget):
        policy, batch = _at_theta_k(snapshot)
        found = products_by_part(policy, batch, snapshot.config, gradient(target, policy), by_layer)
        return found.map(partial(_where, snapshot.buffer.critic_kept))
    terms = gradients.influence(target)
    nothing = np.zeros_like(terms["actor"])
    return Attribution(sum(terms.values(), nothing), {term: terms.get(term, nothing) for term in TERMS}, {})


def products_by_part(
    policy: Policy, batch: Batch, config: TrainConfig, direction: Direction, by_layer: bool = False
) -> Attribution:
    """<direction, grad J_i> in all, by term and, where asked for, by layer."""

    def products(part: Direction, term: Term | None = None) -> Float32s:
        found: Float32s = inner_products(policy, batch, config, part, term=term).detach().numpy()
        return found

    influence = products(direction)
    nothing = np.zeros_like(influence)
    critic = products(direction, "critic") if config.vf_coef and touches_value(policy, direction) else nothing
    entropy = products(direction, "entropy") if config.ent_coef else nothing
    layers: dict[str, Float32s] = {}
    for layer in layers_of(policy) if by_layer else ():
        own = {name: part for name, part in direction.items() if layer_of(name) == layer}
        layers[layer] = products(own) if own else nothing
    terms: dict[Term, Float32s] = {"actor": influence - critic - entropy, "critic": critic, "entropy": entropy}
    return Attribution(influence, terms, layers)


def _where(used: NDArray[np.bool_], values: NDArray[np.floating]) -> Float32s:
    return np.where(used, values, 0).astype(np.float32)


def _at_theta_k(snapshot: Snapshot) -> tuple[ActorCritic, Batch]:
    """The policy before the update, and the records as the update's first epoch saw them."""
    policy = _policy(snapshot)
    batch = as_batch(policy, snapshot.buffer)
    if snapshot.config.normalize_advantage:
        batch = batch._replace(advantage=first_epoch_advantages(snapshot, batch.advantage))
    return policy, batch


def _policy(snapshot: Snapshot) -> ActorCritic:
    return restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)


def replay_regression(
    snapshot: Snapshot,
    target: Target,
    prior: Attribution,
    orders: int = TRAINING_ORDERS,
    report: Progress = lambda doing, done, total: None,
) -> Attribution:
    """A linear fit to f after many real replays without random records; see `regression.fit_to_replays`.

    Args:
        snapshot: round k.
        target: f.
        prior: what another estimator says; its parts are those that the result has.
        orders: minibatch orders that each removal is replayed in.
        report: told the replays that are done, of how many; raise from it to cancel.
    """
    gradients = record_gradients(snapshot, target)
    fitted = fit_to_replays(snapshot, target, gradients, prior.influence, orders, report)
    direction = gradients.direction(fitted.v)
    missed = products_by_part(gradients.policy, gradients.batch, snapshot.config, direction, bool(prior.layers))

    def fit(before: Float32s, more: Float32s) -> Float32s:
        return _where(snapshot.buffer.kept, fitted.alpha * before.astype(np.float64) + more)

    return prior.map(fit, missed)


def record_gradients(snapshot: Snapshot, target: Target) -> RecordGradients:
    """The gradients whose inner products with grad f are `first_order`."""
    policy, batch = _at_theta_k(snapshot)
    return RecordGradients(policy, batch, snapshot.config, list(gradient(target, policy)))


def _along_the_update(
    estimator: Callable[[Snapshot, Target, OnStep | None, Layers], Credits],
    snapshot: Snapshot,
    target: Target,
    on_step: OnStep | None = None,
    by_layer: bool = False,
) -> Attribution:
    layers = layers_of(_policy(snapshot)) if by_layer else {}
    credits = estimator(snapshot, target, on_step, list(layers.values()) or WHOLE)
    whole = credits.sum(axis=0)
    return Attribution(
        whole.sum(axis=0).astype(np.float32),
        {term: part.astype(np.float32) for term, part in zip(TERMS, whole, strict=True)},
        {layer: part.sum(axis=0).astype(np.float32) for layer, part in zip(layers, credits, strict=False)},
    )


def _with_prior(
    snapshot: Snapshot, target: Target, on_step: OnStep | None = None, by_layer: bool = False
) -> Attribution:
    prior = ESTIMATORS[PRIOR](snapshot, target, on_step, by_layer)
    return replay_regression(snapshot, target, prior)


Estimator = Callable[..., Attribution]
"""Function of a snapshot, a target, `on_step` (called as it goes; None by default) and `by_layer` (False by default)."""

ESTIMATORS: dict[str, Estimator] = {
    "first_order": first_order_parts,
    "tracin": partial(_along_the_update, tracin),
    "tracin_adam": partial(_along_the_update, tracin_adam),
    "replay_gradient": partial(_along_the_update, replay_gradient),
    REPLAY_REGRESSION: _with_prior,
}
"""Estimator name -> the estimator; the cheapest first."""

DIRECTION_ONLY = frozenset({"first_order"})
"""Estimators whose influence has a unit of its own: its sign predicts, its size does not. The others have the target's unit."""

ESTIMATOR_NOTES: dict[str, str] = {
    "first_order": "one inner product at theta(k), before the update; cheap, and not a prediction of what removal does",
    "tracin": "inner products summed over the optimizer steps that used the record, each taken as plain gradient ascent",
    "tracin_adam": "as tracin, with every step as the optimizer took it: its preconditioner, gradient clip and momentum",
    "replay_gradient": "the exact derivative of the updated policy's target in the record's weight, through the whole update",
    REPLAY_REGRESSION: "a linear fit to a thousand real replays without random records; takes a minute, and predicts them best",
}
"""Estimator name -> one line for people."""


def top_and_bottom(influence: Float32s, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k records that raised the target most and the k that lowered it most; ties by record number.

    Only records with positive influence are top records, only those with negative influence are bottom ones.
    """
    order = np.argsort(-influence, kind="stable")
    top = order[:k]
    bottom = order[::-1][:k]
    return top[influence[top] > 0], bottom[influence[bottom] < 0]

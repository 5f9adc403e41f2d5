"""Estimators of influence, by name. They compute; reading, writing and caching is `attribution.influence`'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from engine.attribution.backends import Backend, Term, gradient, inner_products, touches_value
from engine.attribution.derivatives import TERMS
from engine.attribution.gradients import first_epoch_advantages, round_gradients
from engine.attribution.path import Credits, OnStep, replay_gradient, tracin, tracin_adam
from engine.attribution.regression import REPLAY_REGRESSION, RecordGradients, fit_to_replays
from engine.attribution.replays import Progress
from engine.attribution.targets import LogProbTarget, Target
from engine.learning.checkpoint import restore_policy
from engine.learning.networks import ActorCritic
from engine.learning.ppo import Batch, as_batch
from engine.store.snapshot import Float32s, Snapshot

DEFAULT_ESTIMATOR = "first_order"
PRIOR = "tracin_adam"
"""What `replay_regression` starts from: the best analytic estimator."""


class Attribution(NamedTuple):
    """What an estimator says of a round."""

    influence: Float32s
    """(n,) the sum of its terms."""
    terms: Mapping[Term, Float32s]
    """(n,) each: what the record did through the actor's, the critic's and the entropy term of its objective."""


def first_order(snapshot: Snapshot, target: Target, backend: Backend | None = None) -> Float32s:
    """I_i = <grad f(theta(k)), grad J_i(theta(k))>: one inner product before the update (paper, eq. 4).

    Advantages are normalised as the first epoch's minibatches were. This computes by torch, whatever the networks;
    `first_order_terms` agrees with it to rounding.

    Args:
        snapshot: round k.
        target: f.
        backend: see `backends.inner_products`.

    Returns:
        (n,) influence of each record; positive means that it raised f. 0 for records that the update went without.
    """
    return _first_order(snapshot, target, backend, split=False).influence


def first_order_terms(snapshot: Snapshot, target: Target, on_step: OnStep | None = None) -> Attribution:
    """`first_order` with its terms, from the round's kept gradients where they can answer."""
    if on_step is not None:
        on_step()
    gradients = round_gradients(snapshot)
    if gradients is None or not isinstance(target, LogProbTarget):
        return _first_order(snapshot, target, None, split=True)
    found = gradients.influence(target)
    nothing = np.zeros_like(found["actor"])
    return Attribution(sum(found.values(), nothing), {term: found.get(term, nothing) for term in TERMS})


def _first_order(snapshot: Snapshot, target: Target, backend: Backend | None, split: bool) -> Attribution:
    config = snapshot.config
    policy, batch = _at_theta_k(snapshot)
    direction = gradient(target, policy)

    def products(term: Term | None = None) -> Float32s:
        found = inner_products(policy, batch, config, direction, backend, term).detach().numpy()
        return np.where(snapshot.buffer.critic_kept, found, np.float32(0))

    influence = products()
    if not split:
        return Attribution(influence, {})
    nothing = np.zeros_like(influence)
    critic = products("critic") if config.vf_coef and touches_value(policy, direction) else nothing
    entropy = products("entropy") if config.ent_coef else nothing
    return Attribution(influence, {"actor": influence - critic - entropy, "critic": critic, "entropy": entropy})


def _at_theta_k(snapshot: Snapshot) -> tuple[ActorCritic, Batch]:
    """The policy before the update, and the records as the update's first epoch saw them."""
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    if snapshot.config.normalize_advantage:
        batch = batch._replace(advantage=first_epoch_advantages(snapshot, batch.advantage))
    return policy, batch


def replay_regression(
    snapshot: Snapshot, target: Target, report: Progress = lambda doing, done, total: None
) -> Float32s:
    """A linear fit to f after many real replays without random records; see `regression.fit_to_replays`."""
    prior = ESTIMATORS[PRIOR](snapshot, target)
    return fit_to_replays(snapshot, target, record_gradients(snapshot, target), prior, report)


def record_gradients(snapshot: Snapshot, target: Target) -> RecordGradients:
    """The gradients whose inner products with grad f are `first_order`."""
    policy, batch = _at_theta_k(snapshot)
    return RecordGradients(policy, batch, snapshot.config, list(gradient(target, policy)))


Estimator = Callable[[Snapshot, Target], Float32s]
SplittingEstimator = Callable[[Snapshot, Target, OnStep | None], Attribution]


def _by_term(
    estimator: Callable[[Snapshot, Target, OnStep | None], Credits],
    snapshot: Snapshot,
    target: Target,
    on_step: OnStep | None = None,
) -> Attribution:
    credits = estimator(snapshot, target, on_step)
    terms = {term: part.astype(np.float32) for term, part in zip(TERMS, credits, strict=True)}
    return Attribution(credits.sum(0).astype(np.float32), terms)


def _in_all(name: str, snapshot: Snapshot, target: Target) -> Float32s:
    return SPLITTING[name](snapshot, target, None).influence


SPLITTING: dict[str, SplittingEstimator] = {
    "first_order": first_order_terms,
    "tracin": partial(_by_term, tracin),
    "tracin_adam": partial(_by_term, tracin_adam),
    "replay_gradient": partial(_by_term, replay_gradient),
}
"""Estimator name -> the same with the scores split by term, for those that can; `on_step` is called as they go."""


ESTIMATORS: dict[str, Estimator] = {
    **{name: partial(_in_all, name) for name in SPLITTING},
    REPLAY_REGRESSION: replay_regression,
}
"""Estimator name -> function of a snapshot and a target; the cheapest first."""

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

"""Estimators of influence, by name. They compute; reading, writing and caching is `core.influence`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from engine.config import TrainConfig
from engine.core.estimators.along_the_update import OnStep, exactly, stepwise
from engine.core.estimators.replay_regression import RecordGradients, fit_to_replays
from engine.core.gradients.attribution import TERMS, Attribution
from engine.core.gradients.inner_products import Backend, gradient, inner_products
from engine.core.kind import kind_of
from engine.core.targets.functions import LogProbTarget, Target
from engine.executors import INLINE, Pool, Progress
from engine.store.snapshot import Float32s, Snapshot

DEFAULT_ESTIMATOR = "first_order"
PRIOR = "tracin_adam"
"""What `replay_regression` starts from: the best analytic estimator."""
REPLAY_REGRESSION = "replay_regression"
FOLLOWED = 3.0
"""Times as long as the update is what follows it step by step."""


def first_order(snapshot: Snapshot, target: Target, backend: Backend | None = None) -> Float32s:
    """I_i = <grad f(theta(k)), grad J_i(theta(k))>: one inner product before the update (paper, eq. 4).

    Advantages are normalised as the first epoch's minibatches were. This computes by torch, whatever the networks;
    `first_order_parts` agrees with it to rounding.

    Args:
        snapshot: round k, of a kind whose records have one number each.
        target: f.
        backend: see `inner_products.inner_products`.

    Returns:
        (n,) influence of each record; positive means that it raised f. 0 for records that the update went without.
    """
    kind = kind_of(snapshot)
    policy, objective = kind.policy(snapshot), kind.objective(snapshot)
    batch = objective.at_start(kind.batch(snapshot, policy), snapshot.minibatches)
    found = inner_products(policy, batch, objective.of_record, gradient(target, policy), backend)
    return np.where(snapshot.buffer.critic_kept, found.detach().numpy(), np.float32(0))


def first_order_parts(
    snapshot: Snapshot, target: Target, on_step: OnStep | None = None, by_layer: bool = False
) -> Attribution:
    """`first_order` with its parts, from the round's kept gradients where they can answer."""
    if on_step is not None:
        on_step()
    kind = kind_of(snapshot)
    gradients = None if by_layer or not isinstance(target, LogProbTarget) else kind.kept_gradients(snapshot)
    if gradients is None or not isinstance(target, LogProbTarget):
        policy = kind.policy(snapshot)
        return kind.credit(snapshot, policy, gradient(target, policy), by_layer)
    terms = gradients.influence(target)
    nothing = np.zeros_like(terms["actor"])
    return Attribution(sum(terms.values(), nothing), {term: terms.get(term, nothing) for term in TERMS}, {})


def replay_regression(
    snapshot: Snapshot,
    target: Target,
    prior: Attribution,
    report: Progress = lambda doing, done, total: None,
    pool: Pool = INLINE,
) -> Attribution:
    """A linear fit to f after many real replays without random records; see `replay_regression.fit_to_replays`.

    Args:
        snapshot: round k.
        target: f.
        prior: what another estimator says; its parts are those that the result has.
        report: told the replays that are done, of how many; raise from it to cancel.
        pool: where the replays are made.
    """
    gradients = record_gradients(snapshot, target)
    fitted, expected = fit_to_replays(snapshot, target, gradients, prior.influence, report, pool)
    direction = gradients.direction(fitted.v)
    missed = kind_of(snapshot).credit(snapshot, gradients.policy, direction, bool(prior.layers))

    def fit(before: Float32s, more: Float32s) -> Float32s:
        found = fitted.alpha * before.astype(np.float64) + more
        return np.where(snapshot.buffer.kept, found, 0).astype(np.float32)

    return prior._replace(tokens=None).map(fit, missed)._replace(expected=expected)


def record_gradients(snapshot: Snapshot, target: Target) -> RecordGradients:
    """The gradients whose inner products with grad f are `first_order`."""
    kind = kind_of(snapshot)
    policy, objective = kind.policy(snapshot), kind.objective(snapshot)
    batch = objective.at_start(kind.batch(snapshot, policy), snapshot.minibatches)
    return RecordGradients(policy, batch, objective, list(gradient(target, policy)))


def with_prior(
    snapshot: Snapshot, target: Target, on_step: OnStep | None = None, by_layer: bool = False
) -> Attribution:
    """`replay_regression` from the prior in the recorded order."""
    return replay_regression(snapshot, target, ESTIMATORS[PRIOR](snapshot, target, on_step, by_layer))


class Compute(Protocol):
    """How an estimator credits a round's records."""

    def __call__(
        self, snapshot: Snapshot, target: Target, on_step: OnStep | None = None, by_layer: bool = False
    ) -> Attribution:
        """Influence with its parts.

        Args:
            snapshot: round k.
            target: f.
            on_step: called as it goes on; raise from it to cancel.
            by_layer: whether to split by layer of the policy, too.
        """
        ...


@dataclass(frozen=True)
class Estimator:
    """One estimator of influence: everything that anybody knows of it."""

    name: str
    note: str
    """One line for people."""
    compute: Compute
    cost: Callable[[TrainConfig], float] = lambda config: FOLLOWED
    """About how many times as long it takes as the round's update, for one minibatch order.
    `averaged_over_orders.influence_seconds` times it where that is quick."""
    in_unit_of_target: bool = True
    """Whether the size of its influence predicts the change of f; else only its sign does."""
    needs_minibatches: bool = True
    """Whether it follows the update, which a round that was recorded without its minibatches doesn't know."""
    version: int = 1
    """Part of every cache key; raise it whenever its numbers change."""

    def __call__(
        self, snapshot: Snapshot, target: Target, on_step: OnStep | None = None, by_layer: bool = False
    ) -> Attribution:
        """What it says of a round in the recorded minibatch order; see `Compute`."""
        return self.compute(snapshot, target, on_step, by_layer)


class Estimators(dict[str, Estimator]):
    """The registry: name -> estimator, the cheapest first."""

    def __init__(self, *estimators: Estimator) -> None:
        super().__init__({one.name: one for one in estimators})

    def of(self, snapshot: Snapshot) -> Iterator[str]:
        """The names of those that can be had of a round."""
        return (one.name for one in self.values() if snapshot.minibatches.size or not one.needs_minibatches)


ESTIMATORS = Estimators(
    Estimator(
        DEFAULT_ESTIMATOR,
        "one inner product at theta(k), before the update; cheap, and not a prediction of what removal does",
        first_order_parts,
        cost=lambda config: 2 / config.n_epochs,
        in_unit_of_target=False,
        needs_minibatches=False,
        version=2,
    ),
    Estimator(
        "tracin",
        "inner products summed over the optimizer steps that used the record, each taken as plain gradient ascent",
        partial(stepwise, "tracin"),
    ),
    Estimator(
        PRIOR,
        "as tracin, with every step as the optimizer took it: its preconditioner, gradient clip and momentum",
        partial(stepwise, PRIOR),
    ),
    Estimator(
        "replay_gradient",
        "the exact derivative of the updated policy's target in the record's weight, through the whole update",
        exactly,
        version=2,
    ),
    Estimator(
        REPLAY_REGRESSION,
        "a linear fit to hundreds of real replays, each without a random half of the records; takes longest",
        with_prior,
        version=4,
    ),
)

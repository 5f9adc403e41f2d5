"""`replay_regression`: influence as the linear fit to what many real replays without random records did.

f of a replay is taken relative to the whole buffer's in the same minibatch order, and averaged over the orders. With
x_m = the records that subset m kept (less their share), the model is f_m = b + x_m . I. There are fewer replays than records,
so I is not free: I_i = alpha p_i + <v, g_i>. p are the scores of another estimator, alpha their scale by least squares, g_i the
gradient of record i's objective at theta(k), and v, by ridge regression, the direction that they miss. (`first_order` is the
case v = grad f, alpha = 0: records with like gradients have like influence, and the replays say which gradients count.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from engine.core.draws import TRAINING_SEED, removed_count
from engine.core.gradients.inner_products import Direction
from engine.core.kind import kind_of
from engine.core.objective import Batch, MinibatchObjective, objective_function
from engine.core.policy import Policy
from engine.core.replays.many import finished_replays, replay_seconds, replays
from engine.core.targets.functions import Target
from engine.executors import INLINE, Pool, Progress
from engine.store.snapshot import Snapshot

TRAINING_ORDERS, TRAINING_FRACTION = 2, 0.5
"""Orders that the estimator replays each subset in, and the share of the records that a subset has: a minute of work with
the default settings. More subsets do more good than more orders."""
STRENGTHS = np.geomspace(1e-3, 1e3, 13)
"""Ridge strengths to choose from, in units of the mean eigenvalue of the kernel; no fit at all is a choice, too."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RecordGradients:
    """The gradients g_i of the records' objective; their (n, P) numbers are never written out."""

    policy: Policy
    """At theta(k)."""
    batch: Batch
    """n records, advantages as the update normalised them."""
    minibatch: MinibatchObjective
    """What its terms are averaged to."""
    names: Sequence[str]
    """The parameters that the target depends on; P numbers in all."""

    def summed(self, x: Floats) -> Floats:
        """(m, n) -> (m, P): sum_i x_mi g_i, one backward pass a row."""
        with_value = any(self.policy.serves_value(name) for name in self.names)
        evaluation = self.policy(self.batch.inputs, self.batch.action, with_value)
        terms = objective_function(self.minibatch.of_record)(evaluation, self.batch)
        total = self.minibatch.each(terms, self.batch)
        parameters = [self._parameters[name] for name in self.names]
        rows = []
        for row in torch.as_tensor(x, dtype=total.dtype):
            gradients = torch.autograd.grad(total @ row, parameters, retain_graph=True, materialize_grads=True)
            rows.append(torch.cat([g.ravel() for g in gradients]).numpy())
        return np.stack(rows).astype(np.float64)

    def direction(self, v: Floats) -> Direction:
        """(P,) -> the same by parameter name, as `inner_products.inner_products` takes it."""
        parameters = [self._parameters[name] for name in self.names]
        parts = torch.as_tensor(v, dtype=self.policy.dtype).split([p.numel() for p in parameters])
        return {name: part.reshape(p.shape) for name, part, p in zip(self.names, parts, parameters, strict=True)}

    @property
    def _parameters(self) -> dict[str, torch.nn.Parameter]:
        return dict(self.policy.named_parameters())


def training_replays(
    snapshot: Snapshot,
    targets: Sequence[Target],
    orders: int = TRAINING_ORDERS,
    *,
    pool: Pool = INLINE,
    report: Progress = lambda doing, done, total: None,
) -> Floats:
    """(targets, 1 + m, orders) values of f that the estimator is fitted to; arguments as `replays.many.replays`.

    The subsets are others than those that `validate` measures estimators on.
    """
    return replays(
        snapshot,
        targets,
        with_nothing_removed(training_removals(snapshot)),
        orders,
        pool=pool,
        report=report,
        doing="replaying the update to fit replay_regression",
    )


def training_removals(snapshot: Snapshot) -> Bools:
    """(m, n) random halves of the records that the update used (`Effort.fitted`), fewer where there are not so many."""
    kind, n = kind_of(snapshot), int(snapshot.buffer.kept.sum())
    m = min(kind.effort.fitted, comb(n, removed_count(n, TRAINING_FRACTION)))
    return kind.random_removals(snapshot, TRAINING_FRACTION, m, TRAINING_SEED)


def fit_to_replays(
    snapshot: Snapshot,
    target: Target,
    gradients: RecordGradients,
    prior: NDArray[np.floating],
    orders: int = TRAINING_ORDERS,
    report: Progress = lambda doing, done, total: None,
) -> Fit:
    """The model, fitted to 512 random halves of the buffer.

    Args:
        snapshot: round k.
        target: f.
        gradients: of its records.
        prior: (n,) scores p of another estimator.
        orders: minibatch orders that each half is replayed in.
        report: told the replays that are done, of how many; raise from it to cancel.

    Returns:
        alpha and v. I_i, the change of f that a record's presence makes, is in units of f.
    """
    (outcomes,) = training_replays(snapshot, [target], orders, report=report)
    x = masks(snapshot.buffer.kept & ~training_removals(snapshot))
    return fit(gradients.summed(x), x @ prior, effects(outcomes))


def training_orders(orders: int) -> int:
    """How many orders the halves are replayed in for influence averaged over that many."""
    return max(TRAINING_ORDERS, orders)


def training_seconds(
    snapshot: Snapshot, target: Target, orders: int = TRAINING_ORDERS, one: float | None = None
) -> float:
    """How long the estimator's replays that are not kept take, one after another; `one` of them is timed, or takes that long."""
    done, total = finished_replays(snapshot, target, with_nothing_removed(training_removals(snapshot)), orders)
    if done == total:
        return 0.0
    return (replay_seconds(snapshot) if one is None else one) * (total - done)


def with_nothing_removed(removed: Bools) -> Bools:
    """(m, n) -> (1 + m, n): the whole buffer first, against which the others are measured."""
    return np.concatenate([np.zeros_like(removed[:1]), removed])


def effects(outcomes: Floats) -> Floats:
    """(1 + m, Q) -> (m,) change of f against the whole buffer in the same order, averaged over the orders."""
    return (outcomes[1:] - outcomes[0]).mean(axis=1)


def masks(kept: Bools) -> Floats:
    """(m, n) masks less the mean share of records that is kept; 0 for records that no subset kept.

    Subsets of one size have rows that sum to 0, so that no constant can hide in the scores.
    """
    ever = kept.any(axis=0)
    return np.where(ever, kept - kept[:, ever].mean(), 0.0)


class Fit(NamedTuple):
    """What replays say of the scale of the prior and of the direction that it misses."""

    alpha: float
    v: Floats
    """(P,)"""


def fit(z: Floats, q: ArrayLike, y: ArrayLike) -> Fit:
    """Fit y_m = b + alpha q_m + <v, z_m>: alpha by least squares, then v by ridge regression on what is left.

    Args:
        z: (m, P) summed gradients of the records that each subset kept.
        q: (m,) their summed prior scores.
        y: (m,) effects.
    """
    prior, effect = np.asarray(q, np.float64), np.asarray(y, np.float64)
    prior, effect = prior - prior.mean(), effect - effect.mean()
    square = float(prior @ prior)
    alpha = float(prior @ effect) / square if square > 0 else 0.0
    return Fit(alpha, _ridge(z - z.mean(axis=0), effect - alpha * prior))


def _ridge(z: Floats, residual: Floats) -> Floats:
    """Weights Z^T (Z Z^T + s I)^-1 r for centred Z and r, with the strength s of the least leave-one-out error.

    0 if none beats 0.
    """
    values, vectors = np.linalg.eigh(z @ z.T)
    turned = vectors.T @ residual
    best, error = np.zeros_like(residual), float(residual @ residual)
    for strength in STRENGTHS * max(values.mean(), np.finfo(float).tiny):
        shrunk = 1 / (np.maximum(values, 0) + strength)
        dual = vectors @ (shrunk * turned)
        # The error where m is left out is s dual_m / (1 - h_mm), h the hat matrix with the intercept (Allen's PRESS).
        left_out = dual / ((vectors * vectors) @ shrunk - 1 / (len(residual) * strength))
        if float(left_out @ left_out) < error:
            best, error = dual, float(left_out @ left_out)
    return z.T @ best

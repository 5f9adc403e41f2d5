"""`replay_regression`: influence as the linear fit to what many real replays without random records did.

`replay_pairs` has the replays: each pair p gives y_p, half of the difference that it makes to f whether a random half of the
records is kept or the rest, and the model is y_p = sum_i x_pi I_i + noise with x_pi = 1/2 or -1/2. There are fewer pairs than
records, so I is not free: I_i = alpha p_i + <v, g_i>. p are the scores of another estimator, alpha their scale by least squares,
g_i the gradient of record i's objective at theta(k), and v, by ridge regression, the direction that they miss. (`first_order`
is the case v = grad f, alpha = 0: records with like gradients have like influence, and the replays say which gradients count.)
What the fit without pair p says of y_p is worth as much as what it says of a removal that nobody has made yet (`foretold`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from engine.core.estimators.foretold import foretold
from engine.core.estimators.replay_pairs import contrasts, half_differences, pair_outcomes, paired_replays
from engine.core.gradients.inner_products import Direction
from engine.core.kind import kind_of
from engine.core.objective import Batch, MinibatchObjective, objective_function
from engine.core.policy import Policy
from engine.core.replays.many import finished_replays, replay_seconds
from engine.core.targets.functions import Target
from engine.executors import INLINE, Pool, Progress
from engine.intervals import Interval
from engine.store.snapshot import Snapshot

STRENGTHS = np.geomspace(1e-3, 1e3, 13)
"""Ridge strengths to choose from, in units of the mean eigenvalue of the kernel; no fit at all is a choice, too."""

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


def fit_to_replays(
    snapshot: Snapshot,
    target: Target,
    gradients: RecordGradients,
    prior: NDArray[np.floating],
    report: Progress = lambda doing, done, total: None,
    pool: Pool = INLINE,
) -> tuple[Fit, Interval | None]:
    """The model, fitted to the round's pairs of replays.

    Args:
        snapshot: round k.
        target: f.
        gradients: of its records.
        prior: (n,) scores p of another estimator.
        report: told the replays that are done, of how many; raise from it to cancel.
        pool: where the replays are made.

    Returns:
        alpha and v, and the LDS that is to be expected where halves are removed. I_i, the change of f that a record's
        presence makes, is in units of f.
    """
    once, again = (outcomes[0] for outcomes in pair_outcomes(snapshot, [target], pool=pool, report=report))
    x, effort = contrasts(snapshot), kind_of(snapshot).effort
    found = fit(gradients.summed(x), x @ prior, half_differences(once))
    rng = np.random.default_rng([snapshot.config.seed, snapshot.round])
    return found, foretold(found.left_out, once, again, subsets=effort.subsets, orders=effort.orders, rng=rng)


def training_seconds(
    snapshot: Snapshot, target: Target, a_replay: Callable[[], float] | None = None, pool: Pool = INLINE
) -> float:
    """How long the estimator's replays that are not kept take in a pool, where one takes `a_replay()`, or is timed."""
    done, total = finished_replays(snapshot, target, paired_replays(snapshot))
    if done == total:
        return 0.0
    return pool.seconds((a_replay() if a_replay else replay_seconds(snapshot)) * (total - done))


class Fit(NamedTuple):
    """What replays say of the scale of the prior and of the direction that it misses."""

    alpha: float
    v: Floats
    """(P,)"""
    left_out: Floats
    """(m,) what the fit to the other pairs says of each y_p; alpha is that of all."""


def fit(z: Floats, q: ArrayLike, y: ArrayLike) -> Fit:
    """Fit y_p = alpha q_p + <v, z_p>: alpha by least squares, then v by ridge regression on what is left.

    Args:
        z: (m, P) sum_i x_pi g_i of each pair.
        q: (m,) sum_i x_pi p_i.
        y: (m,) half of the pair's difference.
    """
    prior, effect = np.asarray(q, np.float64), np.asarray(y, np.float64)
    square = float(prior @ prior)
    alpha = float(prior @ effect) / square if square > 0 else 0.0
    v, errors = _ridge(z, effect - alpha * prior)
    return Fit(alpha, v, effect - errors)


def _ridge(z: Floats, residual: Floats) -> tuple[Floats, Floats]:
    """Weights Z^T (Z Z^T + s I)^-1 r, with the strength s of the least leave-one-out errors, and these; 0 if none beats 0.

    No two pairs share an order, so that what a pair left out is predicted by others with none of its noise.
    """
    values, vectors = np.linalg.eigh(z @ z.T)
    turned = vectors.T @ residual
    best, errors = np.zeros_like(residual), residual
    for strength in STRENGTHS * max(values.mean(), np.finfo(float).tiny):
        shrunk = 1 / (np.maximum(values, 0) + strength)
        dual = vectors @ (shrunk * turned)
        # The error where p is left out is s dual_p / (1 - h_pp), h the hat matrix (Allen's PRESS).
        left_out = dual / ((vectors * vectors) @ shrunk)
        if float(left_out @ left_out) < float(errors @ errors):
            best, errors = dual, left_out
    return z.T @ best, errors

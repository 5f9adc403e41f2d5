"""`replay_regression`: influence as the linear fit to what many real replays without random records did.

f of a replay is taken relative to the whole buffer's in the same minibatch order, and averaged over the orders. With
x_m = the records that subset m kept (less their share), the model is f_m = b + x_m . (alpha p + w): p are the scores of another
estimator, alpha their scale by least squares, and w what they miss, by ridge regression. There are fewer replays than
records, so the prior p carries most of the answer when subsets are few.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.attribution.replays import Progress, random_removals, removed_count, replays
from engine.attribution.targets import Target
from engine.store.snapshot import Float32s, Snapshot

REPLAY_REGRESSION = "replay_regression"
SUBSETS = 512
"""Random subsets that the estimator replays; with its orders, a minute of work with the default settings."""
ORDERS = 2
FRACTION = 0.5
FOLDS = 8
STRENGTHS = np.geomspace(1e-3, 1e3, 13)
"""Ridge strengths to choose from, in units of the mean eigenvalue of the kernel; no fit at all is a choice, too."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def fit_to_replays(
    snapshot: Snapshot,
    target: Target,
    prior: ArrayLike,
    *,
    executor: str = "inline",
    workers: int | None = None,
    report: Progress = lambda doing, done, total: None,
) -> Float32s:
    """Influence fitted to 512 random halves of the buffer, each replayed in 2 orders.

    Replays that are kept in the run's `derived/` are not made again, such as those of `validate`.

    Args:
        snapshot: round k.
        target: f.
        prior: (n,) scores of another estimator.
        executor: as `replays.replays`.
        workers: as `replays.replays`.
        report: as `replays.replays`.

    Returns:
        (n,) change of f that a record's presence makes, in units of f; 0 for records that the update went without.
    """
    n = int(snapshot.buffer.kept.sum())
    removed = random_removals(snapshot, FRACTION, min(SUBSETS, comb(n, removed_count(n, FRACTION))))
    (outcomes,) = replays(
        snapshot,
        [target],
        with_nothing_removed(removed),
        ORDERS,
        executor=executor,
        workers=workers,
        report=report,
    )
    return fit(design(kept_of(snapshot, removed)), effects(outcomes), prior).astype(np.float32)


def with_nothing_removed(removed: Bools) -> Bools:
    """(m, n) -> (1 + m, n): the whole buffer first, against which the others are measured."""
    return np.concatenate([np.zeros_like(removed[:1]), removed])


def effects(outcomes: Floats) -> Floats:
    """(1 + m, Q) -> (m,) change of f against the whole buffer in the same order, averaged over the orders."""
    return (outcomes[1:] - outcomes[0]).mean(axis=1)


def kept_of(snapshot: Snapshot, removed: Bools) -> Bools:
    """(m, n) the records that took part in the update."""
    return snapshot.buffer.kept & ~removed


def design(kept: Bools) -> Floats:
    """(m, n) masks less the mean share of records that is kept; 0 for records that no subset kept.

    Subsets of one size have rows that sum to 0, so that no constant can hide in the scores.
    """
    ever = kept.any(axis=0)
    return np.where(ever, kept - kept[:, ever].mean(), 0.0)


def fit(x: Floats, y: ArrayLike, prior: ArrayLike) -> Floats:
    """Scores alpha p + w of the model above; the ridge strength has the least leave-one-out error.

    Args:
        x: (m, n) as `design` gives it.
        y: (m,) effects.
        prior: (n,) scores p.

    Returns:
        (n,) influence in units of y.
    """
    x, y, prior = x - x.mean(axis=0), np.asarray(y, np.float64), np.asarray(prior, np.float64)
    residual, predicted = y - y.mean(), x @ prior
    square = float(predicted @ predicted)
    alpha = float(predicted @ residual) / square if square > 0 else 0.0
    return alpha * prior + _ridge(x, residual - alpha * predicted)


def _ridge(x: Floats, residual: Floats) -> Floats:
    """Weights X^T (X X^T + s I)^-1 r for centred x and r, with the strength s of the least leave-one-out error.

    0 if none beats 0.
    """
    values, vectors = np.linalg.eigh(x @ x.T)
    turned = vectors.T @ residual
    best, error = np.zeros_like(residual), float(residual @ residual)
    for strength in STRENGTHS * max(values.mean(), np.finfo(float).tiny):
        shrunk = 1 / (np.maximum(values, 0) + strength)
        dual = vectors @ (shrunk * turned)
        # The error where m is left out is s dual_m / (1 - h_mm), h the hat matrix with the intercept (Allen's PRESS).
        left_out = dual / ((vectors * vectors) @ shrunk - 1 / (len(residual) * strength))
        if float(left_out @ left_out) < error:
            best, error = dual, float(left_out @ left_out)
    return x.T @ best


def cross_fitted(kept: Bools, y: ArrayLike, prior: ArrayLike, rng: np.random.Generator) -> Floats:
    """(m,) effects of subsets as predicted by fits that did not see them; each fold by that of the other folds.

    Relative to the average subset of the design, so that fits to different folds can be compared.

    Args:
        kept: (m, n).
        y: (m,) effects.
        prior: (n,) scores p.
        rng: deals the subsets out to the folds.
    """
    x, y = design(kept), np.asarray(y, np.float64)
    fold = rng.permutation(len(y)) % min(FOLDS, len(y))
    predicted = np.empty(len(y))
    for held_out in (fold == k for k in np.unique(fold)):
        predicted[held_out] = x[held_out] @ fit(x[~held_out], y[~held_out], prior)
    return predicted

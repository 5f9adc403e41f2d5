"""What a policy makes of states: its features, and a map of them in a few dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.kinds.control.blueprint import policy_of
from engine.kinds.control.control_only import control_only
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.snapshot import Float32s

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Projection:
    """Points of many dimensions, seen along the few in which they vary most."""

    coordinates: Floats
    """(n, k) around 0."""
    share: Floats
    """(k,) of the variance that each dimension shows; NaN where the points do not vary."""


@control_only
def policy_features(snapshot: ControlSnapshot) -> Float32s:
    """The last hidden layer of pi_theta(k)'s actor in the state of every record: (n, d).

    States that lie close together here look alike to the policy, however far apart their numbers are.
    """
    found: Float32s = policy_of(snapshot).actor_features(snapshot.buffer.observation)
    return found


def principal_components(points: ArrayLike, k: int = 2) -> Projection:
    """PCA: points relative to their mean, in the k orthogonal directions of largest variance.

    [[0, 0], [1, 1], [2, 2]] with k = 1 -> [[-sqrt 2], [0], [sqrt 2]], all of the variance. Each direction points to where
    its largest component is positive, so that equal points give equal maps.

    Args:
        points: (n, d)
        k: dimensions; those beyond min(n, d) are all 0.
    """
    x = np.asarray(points, np.float64)
    x = x - x.mean(axis=0)
    u, scale, directions = np.linalg.svd(x, full_matrices=False)
    largest = np.abs(directions).argmax(axis=1)
    signs = np.where(directions[np.arange(len(directions)), largest] < 0, -1.0, 1.0)
    total = float((scale**2).sum())
    coordinates, share = np.zeros((len(x), k)), np.zeros(k)
    found = min(k, len(scale))
    coordinates[:, :found] = (u * scale * signs)[:, :found]
    share[:found] = scale[:found] ** 2
    return Projection(coordinates, share / total if total > 0 else np.full(k, math.nan))

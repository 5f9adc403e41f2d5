"""Estimators of influence, by name. They compute; reading, writing and caching is `attribution.influence`'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from engine.attribution.backends import Backend, gradient, inner_products
from engine.attribution.targets import Target
from engine.learning.checkpoint import restore_policy
from engine.learning.ppo import as_batch, normalize
from engine.store.snapshot import Float32s, Snapshot

DEFAULT_ESTIMATOR = "first_order"


def first_order(snapshot: Snapshot, target: Target, backend: Backend | None = None) -> Float32s:
    """I_i = <grad f(theta(k)), grad J_i(theta(k))>: one inner product before the update (paper, eq. 4).

    Advantages are normalised as the first epoch's minibatches were.

    Args:
        snapshot: round k.
        target: f.
        backend: see `backends.inner_products`.

    Returns:
        (n,) influence of each record; positive means that it raised f. 0 for records that the update went without.
    """
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    if snapshot.config.normalize_advantage:
        batch = batch._replace(advantage=first_epoch_advantages(snapshot, batch.advantage))
    direction = gradient(target, policy)
    products = inner_products(policy, batch, snapshot.config, direction, backend).detach().numpy()
    return np.where(snapshot.buffer.critic_kept, products, np.float32(0))


def first_epoch_advantages(snapshot: Snapshot, advantage: Tensor) -> Tensor:
    """(n,) advantages normalised within the first epoch's minibatches.

    A record that was dropped from the update keeps no minibatch: it is normalised by the whole buffer's statistics.
    """
    normalized = normalize(advantage)
    order = torch.as_tensor(snapshot.minibatches[0], dtype=torch.int64)
    kept = torch.as_tensor(snapshot.buffer.kept)[order]
    sizes = [int(part.sum()) for part in kept.split(snapshot.config.batch_size)]
    used = order[kept]
    normalized[used] = torch.cat([normalize(part) for part in advantage[used].split(sizes)])
    return normalized


Estimator = Callable[[Snapshot, Target], Float32s]

ESTIMATORS: Mapping[str, Estimator] = {"first_order": first_order}
"""Estimator name -> function of a snapshot and a target."""

ESTIMATOR_NOTES: Mapping[str, str] = {
    "first_order": "one inner product at theta(k), before the update; cheap, and not a prediction of what removal does"
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

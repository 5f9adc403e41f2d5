"""Do the episodes of a round agree on what raises the return? If not, what influence says of a record is noise."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch

from engine.core.gradients.inner_products import gradient
from engine.core.targets.of_records import ReturnTarget
from engine.errors import ZeroGradientError
from engine.kinds.control.networks import restore_policy
from engine.kinds.control.snapshot import ControlSnapshot


def agreement(snapshot: ControlSnapshot, groups: int = 16) -> float:
    """Agreement of the return target's gradient between groups of episodes.

    The episodes are dealt out to the groups, and each group gives a gradient g_k of its own. The number is
    sum_{j<k} <g_j, g_k> / sqrt(sum_{j<k} <g_j, g_k>^2): the sum of the products in units of the standard deviation that
    it would have if every gradient's sign were random. Above 2 the episodes agree, around 0 they have nothing in common.

    Args:
        snapshot: round k.
        groups: how many; fewer where the round has fewer episodes.

    Returns:
        At most sqrt(groups * (groups - 1) / 2), where all say the same; NaN without two groups that have a gradient.
    """
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    buffer = snapshot.buffer
    advantage = buffer.advantage - buffer.advantage.mean()
    group = np.unique(buffer.episode, return_inverse=True)[1] % groups
    gradients = []
    for k in range(group.max() + 1):
        rows = group == k
        target = ReturnTarget(buffer.observation[rows], buffer.action[rows], advantage[rows])
        with suppress(ZeroGradientError):
            gradients.append(torch.cat([part.ravel() for part in gradient(target, policy).values()]))
    if len(gradients) < 2:
        return float("nan")
    stacked = torch.stack(gradients)
    products = (stacked @ stacked.T)[torch.triu_indices(len(stacked), len(stacked), 1).unbind()]
    return float(products.sum() / products.norm())

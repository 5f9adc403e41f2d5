"""How far two policies are apart in the same states."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Categorical, Distribution, kl_divergence

from engine.core.policy import Policy


@torch.no_grad()
def divergence(first: Policy, second: Policy, observation: Any) -> NDArray[np.float64]:
    """KL(first || second) in nats in n states: (n, ...) observations as stored -> (n,).

    Raises:
        BadInputError: what one of them would do in a state is not known.
    """
    parts = zip(first.distributions(observation), second.distributions(observation), strict=True)
    total: Tensor = sum((_kl(p, q) for p, q in parts), torch.zeros(()))
    return np.asarray(total.double().numpy())


def _kl(p: Distribution, q: Distribution) -> Tensor:
    """(n,) of one part; components that are independent of each other are summed.

    p = [0.5, 0.5], q = [0.9, 0.1]: 0.5 ln(0.5/0.9) + 0.5 ln(0.5/0.1) = 0.511.
    """
    if isinstance(p, Categorical) and isinstance(q, Categorical):  # finite also where a probability rounds to 0
        return (p.probs * (p.logits - q.logits)).sum(-1)
    each = kl_divergence(p, q)
    return each.reshape(len(each), -1).sum(-1)

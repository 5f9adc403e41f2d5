"""What the core asks of a policy."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Evaluation(NamedTuple):
    """What a policy says of n records at its current parameters; (n, T) each where a record has T tokens."""

    log_prob: Tensor
    """(n,) log pi(a|s)."""
    entropy: Tensor
    """(n,) entropy of pi(.|s)."""
    value: Tensor | None
    """(n,) V(s); None if it was not asked for."""


class Policy(nn.Module):
    """What attribution needs of a policy. A new agent implements these three methods, and every estimator works on it."""

    def encode(self, observation: NDArray[Any]) -> Tensor:
        """Observations as stored (n, ...) -> network inputs (n, d), or (n, channels, height, width) for images."""
        raise NotImplementedError

    def forward(self, inputs: Tensor, action: Tensor, with_value: bool = True) -> Evaluation:
        """Evaluate n encoded observations and their actions; without the value if nobody needs it."""
        raise NotImplementedError

    def serves_value(self, name: str) -> bool:
        """Whether the parameter `name` has a part in the value, alone or besides its part in the policy."""
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

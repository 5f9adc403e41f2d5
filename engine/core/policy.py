"""What the core asks of a policy: any `nn.Module` that can evaluate records, wrapped in three methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.errors import BadInputError, DamagedRunError
from engine.store.words import counted

Inputs = Any
"""What a policy's networks take: a tensor whose first axis is the record, or dicts, tuples and lists of such tensors."""


class Evaluation(NamedTuple):
    """What a policy says of n records at its current parameters; (n, T) each where a record has T tokens."""

    log_prob: Tensor
    """(n,) log pi(a|s)."""
    entropy: Tensor
    """(n,) entropy of pi(.|s)."""
    value: Tensor | None
    """(n,) V(s); None if it was not asked for, or if there is no critic."""

    def __repr__(self) -> str:
        value = "without" if self.value is None else "with"
        return f"Evaluation({counted(len(self.log_prob), 'record')}, {value} values)"


class Policy(nn.Module):
    """What attribution needs of a policy. A new agent implements these methods, and `engine.attribute` works on it.

    `serves_value` may stay as it is here. So may `encode`, where no target is asked about that encodes observations.
    """

    def encode(self, observation: Any) -> Inputs:
        """Observations as stored, n of them -> what the networks take, such as (n, d) or (n, channels, height, width)."""
        raise NotImplementedError

    def forward(self, inputs: Inputs, action: Tensor, with_value: bool = True) -> Evaluation:
        """Evaluate n encoded observations and their actions; without the value if nobody needs it.

        Each record by itself: what is said of one must not depend on those beside it, nor on chance.
        """
        raise NotImplementedError

    def serves_value(self, name: str) -> bool:
        """Whether the parameter `name` has a part in the value, alone or besides its part in the policy.

        True, as here, is always right. False of the policy's own parameters spares targets of the policy the critic.
        """
        return True

    def load(self, parameters: Mapping[str, NDArray[Any]]) -> Self:
        """Take over parameters by state_dict name; returns self.

        Raises:
            DamagedRunError: they are not those of this policy, by name, shape and kind of number.
        """
        own = {name: tuple(parameter.shape) for name, parameter in self.named_parameters()}
        given = {name: tensor.shape for name, tensor in parameters.items() if tensor.dtype.kind == "f"}
        if given != own:
            raise DamagedRunError("the checkpoint does not fit the networks that run.json describes")
        weights = {name: torch.tensor(tensor, dtype=self.dtype) for name, tensor in parameters.items()}
        self.load_state_dict(weights, assign=True)
        return self

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters; of its inputs it says nothing, which may be bytes.

        Raises:
            BadInputError: none of them is a floating-point number.
        """
        return self._first_floating().dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self._first_floating().device

    def _first_floating(self) -> nn.Parameter:
        for parameter in self.parameters():
            if parameter.is_floating_point():
                return parameter
        raise BadInputError("the policy has no parameters of floating-point numbers, so there is nothing to train")

    def as_tensor(self, column: Any) -> Tensor:
        """Actions, advantages and the like on the policy's device; floating-point numbers in its precision."""
        tensor = torch.as_tensor(column, device=self.device)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

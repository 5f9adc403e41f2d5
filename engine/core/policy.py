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


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """What training changes: the parameters with requires_grad by name, each once, however many names it has.

    All that is about an update or a checkpoint has these, in this order.
    """
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def nothing_trained() -> BadInputError:
    """The error of a policy with nothing but frozen parameters."""
    return BadInputError("no parameter of the policy is trained; give those that are requires_grad=True")


class Policy(nn.Module):
    """What the core needs of a policy. A new agent implements these methods, and every estimator works on it.

    So does `engine.attribute`, without a run; there `encode` may stay as it is here, where the target encodes no
    observations. `serves_value` may always stay. Parameters may be frozen, and shared by layers; what of the module is not
    trained, its buffers among it, must be the same whenever it is built, as checkpoints do not have it.
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
        """Take over the trained parameters by name; the rest stays as it was built. Returns self. Errors as `check`."""
        own = self.check(parameters)
        with torch.no_grad():
            for name, tensor in parameters.items():
                own[name].copy_(torch.tensor(tensor))
        return self

    def check(self, parameters: Mapping[str, NDArray[Any]]) -> dict[str, nn.Parameter]:
        """Its own parameters by name, which these fit; they need no memory for it.

        Raises:
            DamagedRunError: they are not those that are trained in this policy, by name, shape and kind of number.
        """
        own = trained(self)
        given = {name: tensor.shape for name, tensor in parameters.items() if tensor.dtype.kind == "f"}
        if parameters.keys() != given.keys() or given != {name: tuple(p.shape) for name, p in own.items()}:
            raise DamagedRunError("the checkpoint does not fit the networks that run.json describes")
        return own

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

"""What the core asks of a policy: any `nn.Module` that can evaluate records, wrapped in three methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.utils._pytree import tree_leaves, tree_map

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

    def take(self, index: Tensor) -> Evaluation:
        """What it says of the records at `index`, in that order."""
        value = None if self.value is None else self.value[index]
        return Evaluation(self.log_prob[index], self.entropy[index], value)

    def __repr__(self) -> str:
        value = "without" if self.value is None else "with"
        return f"Evaluation({counted(len(self.log_prob), 'record')}, {value} values)"


class WithColumns(NamedTuple):
    """What a policy takes, and the columns of its records beside it, for one that knows the terms of its loss itself."""

    inputs: Inputs
    columns: dict[str, Tensor]
    """Name -> (n,); `advantage` among them is as the update takes it."""


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """What training changes: the parameters with requires_grad by name, each once, however many names it has.

    All that is about an update or a checkpoint has these, in this order.
    """
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


with_gradients = torch.inference_mode(False)
"""Decorates what differentiates: derivatives are recorded in it, whether or not its caller switched them off, be it by
`torch.no_grad` or by `torch.inference_mode`."""


def differentiable(tensor: Tensor) -> Tensor:
    """The same numbers where a derivative may be recorded; what was made in `torch.inference_mode` is copied for it."""
    return tensor.clone() if tensor.is_inference() and not torch.is_inference_mode_enabled() else tensor


@contextmanager
def standing_still(module: nn.Module) -> Iterator[None]:
    """Hold a module's buffers, such as running statistics: they are put back if they moved.

    Raises:
        BadInputError: one moved; it is named.
    """
    before = {name: (buffer, buffer.detach().clone()) for name, buffer in module.named_buffers()}
    moved = ""
    try:
        yield
    finally:
        now = dict(module.named_buffers())
        for name, (buffer, value) in before.items():
            if now.get(name) is buffer and torch.equal(_bits(buffer), _bits(value)):
                continue
            moved = moved or name
            buffer.data = value
            path, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(path), attribute, buffer)
    if moved:
        raise BadInputError(
            f"running the policy moves its buffer {moved}, such as by running statistics; call policy.eval() first, or let "
            "it stand still"
        )


def _bits(tensor: Tensor) -> Tensor:
    """What tells apart all that can: nan equals nan."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def nothing_trained() -> BadInputError:
    """The error of a policy with nothing but frozen parameters."""
    return BadInputError("no parameter of the policy is trained; give those that are requires_grad=True")


class Policy(nn.Module):
    """What the core needs of a policy. A new agent implements these methods, and every estimator works on it.

    So does `engine.attribute`, without a run; there `encode` may stay as it is here, where the target encodes no
    observations. `serves_value` may always stay. Parameters may be frozen, and shared by layers; what of the module is not
    trained, its buffers among it, must be the same whenever it is built, as checkpoints do not have it.
    """

    has_memory: bool = False
    """Whether what it says of a record depends on those that are before it in a batch. A record that is left out of an update
    then stays where it was for those after it."""

    def encode(self, observation: Any) -> Inputs:
        """Observations as stored, n of them -> what the networks take, such as (n, d) or (n, channels, height, width)."""
        raise BadInputError(f"{self._what} has no encode, which observations as stored need to become what it takes")

    def encoded(self, observation: Any) -> Inputs:
        """What `encode` makes of observations, with a derivative wherever they come from.

        Raises:
            BadInputError: it is not made of tensors.
        """
        inputs = self.encode(observation)
        for leaf in tree_leaves(inputs):
            if not isinstance(leaf, Tensor):
                raise BadInputError(
                    f"encode of {self._what} returns a {type(leaf).__name__}; it must return tensors, which as_tensor makes"
                )
        return tree_map(differentiable, inputs)

    def forward(self, inputs: Inputs, action: Tensor, with_value: bool = True) -> Evaluation:
        """Evaluate n encoded observations and their actions; without the value if nobody needs it.

        Each record by itself: what is said of one must not depend on chance, nor on those beside it, where the policy does
        not say that it `has_memory`.
        """
        raise BadInputError(f"{self._what} has no forward, which says what it makes of records and their actions")

    def distributions(self, observation: Any) -> Sequence[Distribution]:
        """pi(.|s) in n states, in parts that are independent of each other; only `divergence` needs it.

        Raises:
            BadInputError: it is not known; says why.
        """
        raise BadInputError(f"{self._what} has no distributions, which say what it would do in a state")

    def serves_value(self, name: str) -> bool:
        """Whether the parameter `name` has a part in the value, alone or as well as its part in the policy.

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

    @property
    def _what(self) -> str:
        return f"the policy ({type(self).__name__})"

    def as_tensor(self, column: Any) -> Tensor:
        """Actions, advantages and the like on the policy's device; floating-point numbers in its precision."""
        tensor = differentiable(torch.as_tensor(column, device=self.device))
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

"""The state of another trainer's policy and optimizer as the tensors of a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.core.checkpoint import Tensors, check_optimizer
from engine.core.policy import trained
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.recorded.recipe import allowed_class, made
from engine.kinds.recorded.settings import Recipe

Checkpoint = Mapping[str, NDArray[Any]]


def state_of(module: nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    """`parameter/...`, `buffer/...` and `optimizer/...` as copies, each once. Errors as `optimizer_tensors`."""
    own = {f"parameter/{name}": parameter.detach().cpu().numpy().copy() for name, parameter in trained(module).items()}
    return own | buffers_of(module) | optimizer_tensors(module, optimizer)


def buffers_of(policy: nn.Module) -> Tensors:
    """`buffer/<name>` of what a module holds beside its parameters, as copies."""
    return {f"buffer/{name}": held.detach().cpu().numpy().copy() for name, held in policy.named_buffers()}


def load_buffers(policy: nn.Module, checkpoint: Mapping[str, NDArray[Any]]) -> None:
    """Put back what `buffers_of` took; those that the checkpoint does not have stay."""
    with torch.no_grad():
        for name, held in policy.named_buffers():
            if f"buffer/{name}" in checkpoint:
                held.copy_(torch.as_tensor(checkpoint[f"buffer/{name}"]))


def restore_optimizer(
    policy: nn.Module, checkpoint: Checkpoint, learning_rate: float, recipe: Recipe | None = None
) -> torch.optim.Optimizer:
    """The policy's optimizer at its recorded state: the one of the recipe, else its own.

    Raises:
        BadInputError: it can't be made again here.
        DamagedRunError: a state is not one of these parameters.
    """
    check_optimizer(policy, checkpoint)
    optimizer: torch.optim.Optimizer
    optimizer = vars(policy)["theirs"].optimizer if recipe is None else _made(recipe, policy)
    optimizer.state.clear()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    for name, parameter in trained(policy).items():
        suffix = f"/{name}"
        state = {
            key.removeprefix("optimizer/").removesuffix(suffix): _state(tensor)
            for key, tensor in checkpoint.items()
            if key.startswith("optimizer/") and key.endswith(suffix)
        }
        if state:
            optimizer.state[parameter] = state
    return optimizer


def _made(recipe: Recipe, policy: nn.Module) -> torch.optim.Optimizer:
    kind: Any = allowed_class(recipe.name)
    try:
        optimizer = kind(policy.parameters(), **made(recipe.arguments))
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise BadInputError(
            f"the optimizer can't be made again from its recipe ({' '.join(str(error).split())[:200]})"
        ) from error
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise BadInputError(f"the recipe of the optimizer names {recipe.name!r}, which is none")
    return optimizer


def optimizer_tensors(policy: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    """`optimizer/<state>/<name>` as copies; whole numbers as int64.

    Raises:
        BadInputError: a state is neither a tensor nor a number.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, parameter in trained(policy).items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                found[f"optimizer/{key}/{name}"] = value.detach().cpu().numpy().copy()
            elif isinstance(value, int | float):
                found[f"optimizer/{key}/{name}"] = np.asarray(value)
            elif value is not None:
                raise BadInputError(f"the optimizer keeps a {type(value).__name__} as {key}, which is not recorded")
    return found


def _state(tensor: NDArray[Any]) -> Any:
    """A tensor; a whole number of its own as the optimizer had it."""
    if tensor.shape == () and tensor.dtype == np.int64:
        return int(tensor)
    if tensor.dtype.kind not in "iufb":
        raise DamagedRunError("the optimizer's state in the checkpoint is not made of numbers")
    return torch.tensor(tensor)

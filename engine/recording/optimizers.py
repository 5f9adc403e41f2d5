"""What a run says of its trainer's optimizer."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import torch

from engine.core.optimizer_settings import AdamSettings, SgdSettings, settings_of
from engine.kinds.recorded.recipe import NotDescribedError, class_name, described
from engine.kinds.recorded.settings import Recipe

SMALLEST = 1e-300
"""In the place of a step size that a schedule has brought to 0."""


def optimizer_name(optimizer: torch.optim.Optimizer) -> Literal["adam", "sgd", "other"]:
    """`adam` and `sgd` are those whose steps are known here, whatever their settings."""
    match settings_of(optimizer):
        case AdamSettings():
            return "adam"
        case SgdSettings():
            return "sgd"
    return "other"


def optimizer_recipe(optimizer: torch.optim.Optimizer) -> Recipe | None:
    """The class, and what it is to be given to be set like this one; None where that can't be said."""
    taken, group = inspect.signature(type(optimizer)).parameters, optimizer.param_groups[0]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    names = [name for name in group if name in taken or (takes_any and name in optimizer.defaults)]
    try:
        said = {name: described(_plain(group[name])) for name in names if name != "params"}
        return Recipe(name=class_name(type(optimizer)), arguments=said)
    except NotDescribedError:
        return None


def _plain(value: Any) -> Any:
    """A number that is held as a tensor, as compiled loops have their step size, as a number."""
    return value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value

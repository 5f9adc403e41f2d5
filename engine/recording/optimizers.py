"""Which of a trainer's optimizers step in a way that is known here."""

from __future__ import annotations

from typing import Literal

import torch

from engine.kinds.recorded.recipe import NotDescribedError, class_name, described
from engine.kinds.recorded.settings import Recipe

SMALLEST = 1e-300
"""In the place of a step size that a schedule has brought to 0."""


def optimizer_name(optimizer: torch.optim.Optimizer) -> Literal["adam", "sgd", "other"]:
    """`adam` and `sgd` are those whose steps are known here, by their settings."""
    said = optimizer.defaults
    plain = (
        not said.get("weight_decay")
        and not said.get("amsgrad")
        and not said.get("nesterov")
        and not said.get("dampening")
    )
    if type(optimizer) is torch.optim.Adam and plain and (*said["betas"], said["eps"]) == (0.9, 0.999, 1e-5):
        return "adam"
    return "sgd" if type(optimizer) is torch.optim.SGD and plain and not said["momentum"] else "other"


def optimizer_recipe(optimizer: torch.optim.Optimizer) -> Recipe | None:
    """Class and settings; None where they can't be said."""
    try:
        said = {name: described(value) for name, value in optimizer.defaults.items()}
        return Recipe(name=class_name(type(optimizer)), arguments=said)
    except NotDescribedError:
        return None

"""Which of a trainer's optimizers step in a way that is known here."""

from __future__ import annotations

from typing import Literal

import torch

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

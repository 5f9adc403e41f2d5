"""What an update's optimizer is and how it is set, as far as its steps are known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from engine.config import TrainConfig

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-5
"""Adam's, of every run that is trained here; torch's defaults but for the last, which is Stable-Baselines3's for PPO."""


@dataclass(frozen=True, kw_only=True)
class AdamSettings:
    """Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019); the names are torch's."""

    learning_rate: float
    betas: tuple[float, float] = (BETA1, BETA2)
    eps: float = EPSILON
    weight_decay: float = 0.0
    decoupled: bool = False
    """The weights decay by themselves, as AdamW has it, and not through the gradient."""


@dataclass(frozen=True, kw_only=True)
class SgdSettings:
    """Gradient descent; the names are torch's."""

    learning_rate: float
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0


@dataclass(frozen=True)
class OtherSettings:
    """An optimizer whose steps are not known here."""

    words: str
    """What people call it, such as `RMSprop` or `Adam with amsgrad`."""


OptimizerSettings = AdamSettings | SgdSettings | OtherSettings


def configured(config: TrainConfig) -> OptimizerSettings:
    """Those of a run that is trained here.

    >>> configured(TrainConfig(env_id="CartPole-v1", optimizer="sgd", momentum=0.9)).momentum
    0.9
    """
    if config.optimizer == "adam":
        return AdamSettings(learning_rate=config.learning_rate)
    return SgdSettings(learning_rate=config.learning_rate, momentum=config.momentum)


def settings_of(optimizer: torch.optim.Optimizer) -> OptimizerSettings:
    """Those of one of torch's optimizers, as they are at present.

    >>> settings_of(torch.optim.AdamW([torch.zeros(2)], lr=0.1))
    AdamSettings(learning_rate=0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01, decoupled=True)
    """
    kind, (said, *more) = type(optimizer), optimizer.param_groups
    unknown = [name for name in ("amsgrad", "maximize") if said.get(name)]
    if more:
        unknown.append("several groups of parameters")
    if kind not in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD) or unknown:
        return OtherSettings(" with ".join([kind.__name__, *unknown]))
    common: dict[str, Any] = {"learning_rate": float(said["lr"]), "weight_decay": float(said["weight_decay"])}
    if kind is torch.optim.SGD:
        momentum, dampening = float(said["momentum"]), float(said["dampening"])
        return SgdSettings(momentum=momentum, dampening=dampening, nesterov=said["nesterov"], **common)
    first, second = map(float, said["betas"])
    decoupled = said.get("decoupled_weight_decay", kind is torch.optim.AdamW)
    return AdamSettings(betas=(first, second), eps=float(said["eps"]), decoupled=decoupled, **common)

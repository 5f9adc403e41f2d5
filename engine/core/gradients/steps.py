"""The optimizer steps of an update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.optimizer_settings import OptimizerSettings

Vector = NDArray[Any]
"""(p,) numbers, one a parameter, in the order of `policy.trained`."""


@dataclass(frozen=True, eq=False)
class Step:
    """One optimizer step, theta_{t-1} -> theta_t."""

    records: NDArray[np.int32]
    """(b,) numbers of the records in its minibatch; those that the actor goes without are among them, and of a policy with a
    memory those that were left out."""
    theta: Vector
    """theta_{t-1}, before the step."""
    gradient: Vector
    """Of the minibatch's loss (the objective's mean with a minus) at theta_{t-1}, before clipping."""


@dataclass(frozen=True, eq=False)
class Trace:
    """An update as the list of its steps."""

    steps: list[Step]
    """Those that were taken: fewer than planned where target_kl stopped the update."""
    after: Vector
    """theta_T, after the last step."""
    state: Mapping[str, Vector]
    """The optimizer's state before the first step: `exp_avg` and `exp_avg_sq`, or `momentum_buffer`; empty at first."""
    count: int
    """Steps that Adam had taken before."""
    optimizer: OptimizerSettings
    """How it stepped."""

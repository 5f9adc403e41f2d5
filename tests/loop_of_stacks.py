"""A loop whose agent sees the last four pictures, channels last."""

from __future__ import annotations

import math
from typing import Any

import ppo_single_file as loop
from torch import Tensor

from benchmarks.faults.made_up_rounds import STACK
from engine.recording import rebuilds


class Agent(loop.Agent):
    """Takes pictures for what they are."""

    def __init__(self) -> None:
        super().__init__(math.prod(STACK))

    def act(self, observation: Tensor, action: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As it does with numbers."""
        return super().act(observation.flatten(1).float() / 255, action)


@rebuilds
def make_agent() -> tuple[Any, ...]:
    """As the loop makes it."""
    return Agent(), loop.evaluate

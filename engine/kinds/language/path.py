"""Estimators that follow a language model's update step by step; `engine.core.path` says what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.core.backends import Backend, Direction
from engine.core.path import OnStep, directions_back
from engine.core.steps import Step, Trace, Vector
from engine.errors import ZeroGradientError
from engine.kinds.language.credits import Credits
from engine.kinds.language.models import restore_policy
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.replay import replay_language
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.targets import TokenTarget


def along_the_update(
    name: str,
    snapshot: LanguageSnapshot,
    target: TokenTarget,
    backend: Backend,
    critic: bool,
    on_step: OnStep | None = None,
) -> Credits:
    """`tracin` and `tracin_adam` as `attribution.path` has them, in the unit of f."""
    trace = trace_language(snapshot)
    policy = restore_policy(snapshot)
    mover = Mover(policy)
    credits = Credits(policy, snapshot, backend, critic=critic)

    def gradient_at(theta: Vector, f: TokenTarget) -> Vector:
        mover.move_to(theta)
        try:
            return mover.flat(f.gradient(policy))
        except ZeroGradientError:
            return np.zeros_like(theta)

    for step, direction in directions_back(name, snapshot.config, trace, target, gradient_at, on_step):
        credits.add(step.records, mover.by_name(direction))
    return credits


class Mover:
    """A policy's trained parameters as one vector, in the order of `named_parameters()`."""

    def __init__(self, policy: LanguagePolicy) -> None:
        self.parameters = {name: p for name, p in policy.named_parameters() if p.requires_grad}

    def move_to(self, theta: Vector) -> None:
        """Set the parameters."""
        for name, part in self.by_name(theta).items():
            self.parameters[name].data.copy_(part)

    def by_name(self, vector: Vector) -> Direction:
        """(p,) -> parts by parameter."""
        first: Tensor = next(iter(self.parameters.values()))
        parts = torch.as_tensor(vector, dtype=first.dtype, device=first.device).split(
            [p.numel() for p in self.parameters.values()]
        )
        return {name: part.reshape(p.shape) for (name, p), part in zip(self.parameters.items(), parts, strict=True)}

    def flat(self, direction: Direction) -> Vector:
        """The inverse; 0 for parameters that are not in it."""
        parts = [direction.get(name, torch.zeros_like(p)) for name, p in self.parameters.items()]
        return np.asarray(torch.cat([part.detach().ravel() for part in parts]).cpu().numpy())


def trace_language(snapshot: LanguageSnapshot) -> Trace:
    """Replay a round's update and keep every step: two vectors of all trained parameters each."""
    steps: list[Step] = []

    def keep(records: NDArray[np.int32], theta: Vector, gradient: Vector) -> None:
        steps.append(Step(records.copy(), theta.copy(), gradient.copy()))

    replayed = replay_language(snapshot, on_gradient=keep)
    names = list(Mover(replayed.policy).parameters)
    before, after = snapshot.checkpoint, replayed.checkpoint

    def flat(tensors: Any, prefix: str) -> Vector:
        found = [tensors[f"{prefix}/{name}"].ravel() for name in names if f"{prefix}/{name}" in tensors]
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    state = {key: flat(before, f"optimizer/{key}") for key in ("exp_avg", "exp_avg_sq", "momentum_buffer")}
    count = flat(before, "optimizer/step")
    return Trace(
        steps,
        flat(after, "parameter"),
        {key: vector for key, vector in state.items() if len(vector)},
        int(count[0]) if len(count) else 0,
    )

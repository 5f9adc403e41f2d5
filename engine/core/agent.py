"""What an update moves: a policy with its optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.checkpoint import Tensors, learner_tensors
from engine.core.objective import ObjectiveFunction, OnGradient, UpdateMetrics
from engine.core.optimizer_settings import OptimizerSettings, settings_of
from engine.core.policy import Policy, standing_still
from engine.core.update import as_batch, update
from engine.store.snapshot import Float32s


class Agent(Protocol):
    """Policy and optimizer."""

    def update(
        self,
        buffer: Any,
        minibatches: NDArray[np.int32],
        *,
        weights: Float32s | None = None,
        on_step: Callable[[], None] | None = None,
        on_gradient: OnGradient | None = None,
    ) -> UpdateMetrics:
        """One update in place, theta(k) -> theta(k+1).

        Args:
            buffer: the whole round; records that are not kept are left out of their minibatches.
            minibatches: (n_epochs, n) permutations.
            weights: (n,) how often each record counts, all above 0; None means all 1. As a record's weight goes to 0 it is
                as if it were removed.
            on_step: called before every optimizer step; raise from it to cancel.
            on_gradient: watches every optimizer step; it changes nothing.
        """
        ...

    def tensors(self) -> Tensors:
        """`parameter/...` and `optimizer/...` as copies."""
        ...

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """How its optimizer steps."""
        ...

    @property
    def policy(self) -> Policy:
        """The present policy as a torch module."""
        ...


class PolicyAgent:
    """Any torch policy whose records have one number each, with its optimizer."""

    def __init__(
        self,
        config: TrainConfig,
        policy: Policy,
        optimizer: torch.optim.Optimizer,
        of_record: TrainConfig | ObjectiveFunction | None = None,
    ) -> None:
        """An agent at the policy's parameters.

        Args:
            config: settings of the update.
            policy: is moved by it.
            optimizer: of the policy's parameters, see `objective.make_optimizer`.
            of_record: the objective of a record; None means PPO's with these settings.
        """
        self.config, self.policy, self.optimizer, self.of_record = config, policy, optimizer, of_record

    def update(
        self,
        buffer: Any,
        minibatches: NDArray[np.int32],
        *,
        weights: Float32s | None = None,
        on_step: Callable[[], None] | None = None,
        on_gradient: OnGradient | None = None,
    ) -> UpdateMetrics:
        """One update in place.

        Raises:
            BadInputError: it moves more of the policy than its parameters, which no checkpoint would have.
        """
        with standing_still(self.policy):
            return update(
                self.policy,
                self.optimizer,
                as_batch(self.policy, buffer),
                minibatches,
                self.config,
                of_record=self.of_record,
                critic_kept=buffer.critic_kept,
                weights=None if weights is None else torch.as_tensor(np.asarray(weights), dtype=self.policy.dtype),
                on_step=on_step,
                on_gradient=on_gradient,
            )

    def tensors(self) -> Tensors:
        """`parameter/...` and `optimizer/...` as copies."""
        return learner_tensors(self.policy, self.optimizer)

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Those of the optimizer."""
        return settings_of(self.optimizer)

"""Policy and optimizer of a language model, as the core moves them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.core.checkpoint import Tensors, learner_tensors
from engine.core.objective import OnGradient, UpdateMetrics
from engine.core.optimizer_settings import OptimizerSettings, settings_of
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.sequences import SequenceBuffer
from engine.kinds.language.update import update
from engine.store.snapshot import Float32s


class LanguageAgent:
    """`core.kind.Agent` of a causal language model."""

    def __init__(
        self,
        config: TrainConfig,
        language: LanguageConfig,
        policy: LanguagePolicy,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.config, self.language, self.policy, self.optimizer = config, language, policy, optimizer

    def update(
        self,
        buffer: SequenceBuffer,
        minibatches: NDArray[np.int32],
        *,
        weights: Float32s | None = None,
        on_step: Callable[[], None] | None = None,
        on_gradient: OnGradient | None = None,
    ) -> UpdateMetrics:
        """One update in place."""
        return update(
            self.policy,
            self.optimizer,
            buffer,
            minibatches,
            self.config,
            self.language,
            weights=weights,
            on_step=on_step,
            on_gradient=on_gradient,
        )

    def tensors(self) -> Tensors:
        """`parameter/...` and `optimizer/...` of what is trained, as copies."""
        return learner_tensors(self.policy, self.optimizer)

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Those of the optimizer."""
        return settings_of(self.optimizer)

"""The update of another trainer, replayed: its loss, its optimizer, its order of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.checkpoint import Tensors
from engine.core.objective import Batch, OnGradient, UpdateMetrics
from engine.core.optimizer_settings import OptimizerSettings, settings_of
from engine.core.policy import Policy
from engine.core.update import as_batch, update
from engine.kinds.recorded.loss import Loss, OwnTerms
from engine.kinds.recorded.policy import RecordedPolicy
from engine.kinds.recorded.tensors import state_of
from engine.store.snapshot import Float32s

TORCH_GENERATOR = "rng/torch"
"""The tensor of a checkpoint that has the state of torch's generator, which layers such as Dropout draw from."""


class RecordedAgent:
    """A recorded policy with the optimizer of its trainer."""

    def __init__(
        self,
        config: TrainConfig,
        loss: Loss | OwnTerms,
        policy: RecordedPolicy,
        optimizer: torch.optim.Optimizer,
        generator: NDArray[Any] | None,
        threads: int = 1,
    ) -> None:
        """An agent at theta(k).

        Args:
            config: settings in force in the round.
            loss: in force in the round.
            policy: at theta(k), with its buffers.
            optimizer: of its parameters, with its state and step size.
            generator: state of torch's generator when the update began.
            threads: that torch had, which can change bits.
        """
        self.config, self.loss, self.policy, self.optimizer = config, loss, policy, optimizer
        self.generator, self.threads = generator, threads

    def update(
        self,
        buffer: Any,
        minibatches: NDArray[np.int32],
        *,
        weights: Float32s | None = None,
        on_step: Callable[[], None] | None = None,
        on_gradient: OnGradient | None = None,
    ) -> UpdateMetrics:
        """One update in place, in training mode; buffers such as running statistics move with it."""
        batch = batch_of(self.policy, buffer, self.loss)
        self.policy.train()
        try:
            with _generator_at(self.generator), _threads(self.threads):
                return update(
                    self.policy,
                    self.optimizer,
                    batch,
                    minibatches,
                    self.config,
                    of_record=self.loss.terms,
                    loss=self.loss.of_minibatch,
                    critic_kept=buffer.critic_kept,
                    weights=None if weights is None else torch.as_tensor(np.asarray(weights), dtype=self.policy.dtype),
                    on_step=on_step,
                    on_gradient=on_gradient,
                )
        finally:
            self.policy.eval()

    def tensors(self) -> Tensors:
        """`parameter/...`, `optimizer/...` and `buffer/...` as copies."""
        return state_of(self.policy, self.optimizer)

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Those of the trainer's optimizer."""
        return settings_of(self.optimizer)

    def __getattr__(self, name: str) -> Any:
        """What plays episodes is the policy's."""
        if name in ("act", "begin_episodes", "draw_noise", "value", "log_prob"):
            return getattr(self.policy, name)
        raise AttributeError(name)


def batch_of(policy: Policy, buffer: Any, loss: Loss | OwnTerms) -> Batch:
    """The round's records with what the loss wants to know of them."""
    batch = as_batch(policy, buffer)
    extra = {name: policy.as_tensor(column) for name, column in buffer.extra.items()}
    return batch._replace(inputs=loss.inputs(batch, policy.as_tensor(buffer.value), extra))


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """As many threads of torch; afterwards as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _generator_at(state: NDArray[Any] | None) -> Iterator[None]:
    """Torch's generator at a recorded state; afterwards as it was."""
    with torch.random.fork_rng(devices=[]):
        if state is not None:
            torch.set_rng_state(torch.as_tensor(state))
        yield

"""The loss of another trainer, as it declares or computes it: of every record, and of a minibatch in its own operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engine.core.objective import Batch, Objective
from engine.core.policy import Evaluation, Inputs, WithColumns
from engine.typed import Finite, settle, typed

OWN = "own"
"""What a round says of a loss whose terms the trainer's own code computes."""


class WithValue(NamedTuple):
    """What a policy takes, beside what a loss needs that clips the value."""

    inputs: Inputs
    value: Tensor
    """(n,) V(s) at collection."""


class WithLosses(Evaluation):
    """What a policy says of records, beside what they lose by its owner's code."""

    losses: tuple[Tensor, Tensor, Tensor]
    """(n,) each: of policy, value and entropy."""

    @classmethod
    def of(cls, said: Evaluation, losses: tuple[Tensor, Tensor, Tensor]) -> WithLosses:
        """The same with the losses."""
        made = cls(*said)
        made.losses = losses
        return made


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a PPO or A2C loop minimises: policy loss + vf_coef * value loss - ent_coef * entropy, means over a minibatch.

    >>> Loss(clip=0.2, value_clip=0.2, value_clip_kind="max", vf_coef=0.25).vf_coef
    0.25

    Raises:
        BadInputError: a value is of another type or out of its range.
    """

    clip: Finite | None = 0.2
    """The ratio is clipped to 1 - clip and 1 + clip; None: plain policy gradients, - A log pi, as A2C has them. Below 0 where
    a schedule is asked beyond its end, as in a last round of Stable-Baselines3 that goes past `total_timesteps`."""
    value_clip: Finite | None = None
    """How far a value may move from the recorded one; None: it is not clipped."""
    value_clip_kind: Literal["clipped", "max"] = "clipped"
    """`clipped`: the error of the clipped value; `max`: the larger of this and of the plain value's error."""
    value_error: Literal["square", "mse_loss"] = "square"
    """How the squared error is written down: they differ in the last bit of their gradients."""
    vf_coef: Finite = 0.5
    """Weight of the mean squared error; where a loop has a half of its own in it, half as much."""
    ent_coef: Finite = 0.0

    def __post_init__(self) -> None:
        settle(self)

    def inputs(self, batch: Batch, value: Tensor, extra: Mapping[str, Tensor]) -> WithValue:
        """What the policy is to be given of a round: V(s) at collection beside it."""
        return WithValue(batch.inputs, value)

    def terms(self, said: Evaluation, batch: Batch) -> Objective:
        """J_i of n records by term, what is maximised; advantages as they are given."""
        entropy = self.ent_coef * said.entropy
        critic = torch.zeros_like(entropy) if said.value is None else -self.vf_coef * self._errors(said.value, batch)
        actor = -self._policy_losses(said, batch)
        return Objective(actor.where(batch.kept, 0), critic, entropy.where(batch.kept, 0))

    def of_minibatch(self, said: Evaluation, part: Batch) -> Tensor:
        """The loss of a minibatch all of whose records train everything, operation by operation as the trainer has it."""
        policy_loss = self._policy_losses(said, part).mean()
        entropy_loss = -torch.mean(said.entropy)
        assert said.value is not None, "asked for"
        if self.value_error == "mse_loss":
            value_loss = functional.mse_loss(part.returns, self._clipped(said.value, part))
        else:
            value_loss = self._errors(said.value, part).mean()
        return policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss

    def _policy_losses(self, said: Evaluation, batch: Batch) -> Tensor:
        if self.clip is None:
            return -(batch.advantage * said.log_prob)
        ratio = torch.exp(said.log_prob - batch.log_prob)
        clipped = batch.advantage * torch.clamp(ratio, 1 - self.clip, 1 + self.clip)
        return -torch.min(batch.advantage * ratio, clipped)

    def _errors(self, value: Tensor, batch: Batch) -> Tensor:
        clipped = (self._clipped(value, batch) - batch.returns) ** 2
        if self.value_clip is None or self.value_clip_kind == "clipped":
            return clipped
        return torch.max((value - batch.returns) ** 2, clipped)

    def _clipped(self, value: Tensor, batch: Batch) -> Tensor:
        if self.value_clip is None:
            return value
        old = batch.inputs.value
        return old + torch.clamp(value - old, -self.value_clip, self.value_clip)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `loss_from` is the inverse."""
        return asdict(self)


class OwnTerms:
    """A loss that the trainer's own code computes for every record, by term; a minibatch minimises the sum of their means."""

    def inputs(self, batch: Batch, value: Tensor, extra: Mapping[str, Tensor]) -> WithColumns:
        """What the policy is to be given of a round: all of its columns beside it."""
        own = {"log_prob": batch.log_prob, "value": value, "advantage": batch.advantage, "returns": batch.returns}
        return WithColumns(batch.inputs, {**extra, **own})

    def terms(self, said: Evaluation, batch: Batch) -> Objective:
        """J_i of n records by term: the losses with a minus."""
        policy, value, entropy = _losses(said)
        return Objective(-policy.where(batch.kept, 0), -value, -entropy.where(batch.kept, 0))

    def of_minibatch(self, said: Evaluation, part: Batch) -> Tensor:
        """The loss of a minibatch all of whose records train everything."""
        policy, value, entropy = _losses(said)
        return policy.mean() + value.mean() + entropy.mean()

    def to_json(self) -> str:
        """A word; `loss_from` is the inverse."""
        return OWN


def _losses(said: Evaluation) -> tuple[Tensor, Tensor, Tensor]:
    assert isinstance(said, WithLosses), "asked for by the inputs"
    return said.losses


def loss_from(said: Any) -> Loss | OwnTerms:
    """Read what `to_json` wrote.

    Raises:
        BadInputError: a field is unknown, of the wrong type or out of its range.
    """
    return OwnTerms() if said == OWN else typed(Loss, said)

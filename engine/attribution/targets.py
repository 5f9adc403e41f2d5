"""Target functions f(theta): the behaviour or the return that influence is about (paper, section 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import BadInputError
from engine.learning.networks import Policy
from engine.spaces import Space
from engine.store.snapshot import Float32s, RolloutBuffer, Snapshot, check_records


class Target(Protocol):
    """A scalar function of the policy. A new target is one small class with these three members."""

    @property
    def name(self) -> str:
        """One word: `return`, `action`, ..."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain values that say exactly which target it is; equal descriptions mean equal targets."""
        ...

    def value(self, policy: Policy) -> Tensor:
        """f(theta) as a differentiable 0-d tensor; `policy` may be functional (see `backends.gradient`)."""
        ...


@runtime_checkable
class LogProbTarget(Target, Protocol):
    """A target of the form f = sum_j c_j log pi(a_j|s_j), which the closed form can differentiate."""

    @property
    def observation(self) -> NDArray[Any]:
        """(m, ...) s_j."""
        ...

    @property
    def action(self) -> NDArray[Any]:
        """(m,) or (m, d) a_j."""
        ...

    @property
    def coefficient(self) -> Float32s:
        """(m,) c_j."""
        ...


@dataclass(frozen=True, eq=False)
class ActionTarget:
    """f = mean_j log pi(a_j|s_j) over one or more chosen pairs (paper, eq. 2)."""

    observation: NDArray[Any]
    """(m, ...) states s_j."""
    action: NDArray[Any]
    """(m,) or (m, d) actions a_j."""
    name: str = "action"

    def describe(self) -> dict[str, Any]:
        """The pairs themselves."""
        return {
            "target": self.name,
            "observation": self.observation.tolist(),
            "action": self.action.tolist(),
        }

    @property
    def coefficient(self) -> Float32s:
        """(m,) 1/m each."""
        return np.full(len(self.action), 1 / len(self.action), np.float32)

    def value(self, policy: Policy) -> Tensor:
        """Mean log-probability of the pairs."""
        inputs = policy.encode(self.observation)
        action = torch.as_tensor(self.action)
        if action.is_floating_point():
            action = action.to(inputs.dtype)
        return policy(inputs, action, with_value=False).log_prob.mean()


@dataclass(frozen=True, eq=False)
class ReturnTarget:
    """f = mean_i A_i log pi(a_i|s_i) over a reference buffer, raw advantages (paper, eq. 3)."""

    observation: NDArray[Any]
    """(n, ...)"""
    action: NDArray[Any]
    """(n,) or (n, d)"""
    advantage: Float32s
    """(n,) raw."""
    name: str = "return"

    def describe(self) -> dict[str, Any]:
        """A digest of the buffer it is taken over."""
        digest = hashlib.sha256()
        for column in (self.observation, self.action, self.advantage):
            digest.update(np.ascontiguousarray(column).data)
        return {"target": self.name, "buffer": digest.hexdigest()[:16]}

    @property
    def coefficient(self) -> Float32s:
        """(n,) A_i / n."""
        return self.advantage / np.float32(len(self.advantage))

    def value(self, policy: Policy) -> Tensor:
        """Mean of advantage times log-probability."""
        inputs = policy.encode(self.observation)
        action, advantage = torch.as_tensor(self.action), torch.as_tensor(self.advantage).to(inputs.dtype)
        if action.is_floating_point():
            action = action.to(inputs.dtype)
        return (advantage * policy(inputs, action, with_value=False).log_prob).mean()


def return_target(snapshot: Snapshot, reference: RolloutBuffer | None = None) -> ReturnTarget:
    """The return target over `reference`, by default the snapshot's own buffer."""
    buffer = snapshot.buffer if reference is None else reference
    return ReturnTarget(buffer.observation, buffer.action, buffer.advantage)


def action_target(
    snapshot: Snapshot,
    *,
    record: int | Sequence[int] | NDArray[Any] | None = None,
    observation: Any | None = None,
    action: Any | None = None,
) -> ActionTarget:
    """The action target of a record, of the mean over several, or of a hand-typed observation and action.

    Args:
        snapshot: says which observations and actions there are.
        record: take s and a from this record, or from these; `action` then asks for another action in the same states.
        observation: s as a number (discrete) or a list of numbers.
        action: a.

    Raises:
        BadInputError: neither or both are given, the record is out of range, or a value does not fit its space.
    """
    if (record is None) == (observation is None):
        raise BadInputError("an action target needs either a record, or an observation and an action")
    if record is not None:
        chosen = check_records(np.atleast_1d(record), len(snapshot.buffer))
        if not len(chosen):
            raise BadInputError("an action target of no records says nothing; choose at least one")
        states = snapshot.buffer.observation[chosen]
        if action is None:
            return ActionTarget(states, snapshot.buffer.action[chosen])
        other = as_space("action", action, snapshot.action_space)
        return ActionTarget(states, np.repeat(other[None], len(chosen), axis=0))
    if action is None:
        raise BadInputError("an observation needs an action beside it")
    return ActionTarget(
        as_space("observation", observation, snapshot.observation_space)[None],
        as_space("action", action, snapshot.action_space)[None],
    )


def named_target(snapshot: Snapshot, name: str, about: int | None = None, action: int | None = None) -> Target:
    """The target of that name: `return` over the snapshot's buffer, or `action` of the record `about`.

    Raises:
        BadInputError: there is no such target, or its record is out of range.
    """
    if name == "return":
        return return_target(snapshot)
    if name != "action":
        raise BadInputError(f"unknown target {name!r}; it must be return or action")
    return action_target(snapshot, record=about, action=action)


def as_space(name: str, value: Any, space: Space) -> NDArray[Any]:
    """A hand-typed value as an array of the space's shape and type.

    Raises:
        BadInputError: it does not fit; the message says what would.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"the {name} {value!r} is not made of numbers") from error
    if space.kind == "discrete":
        number = array.reshape(-1)
        if number.size != 1 or not 0 <= number[0] < space.n or number[0] != int(number[0]):
            raise BadInputError(f"the {name} {value} must be one integer from 0 to {space.n - 1}")
        return np.array(int(number[0]), np.int64)
    if array.size != np.prod(space.shape) or not np.isfinite(array).all():
        raise BadInputError(
            f"the {name} {value} must be {int(np.prod(space.shape))} finite numbers"
            + (f" ({', '.join(space.names)})" if space.names else "")
        )
    return array.reshape(space.shape).astype(space.dtype)

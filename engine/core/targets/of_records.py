"""Targets of records that are a state and an action: an action in a state, and the return of a buffer (paper, section 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from engine.core.blocks import blocks
from engine.core.policy import Policy
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.known_kinds import kind_named
from engine.spaces import Space
from engine.store.read import open_run
from engine.store.snapshot import Float32s, Snapshot, check_records
from engine.store.words import counted


@dataclass(frozen=True, eq=False)
class ActionTarget:
    """f = mean_j log pi(a_j|s_j) over one or more chosen pairs (paper, eq. 2)."""

    observation: Any
    """(m, ...) states s_j; or dicts, tuples and lists of such arrays, where the policy encodes them."""
    action: NDArray[Any]
    """(m,) or (m, d) actions a_j."""
    name: str = "action"
    called: TargetName | None = None
    """What names it, where something does."""
    of_kind: str | None = None
    """The kind of run that it was made of, where it was made of one."""

    def __repr__(self) -> str:
        records = self.called.about if self.called else ()
        record = f", record {records[0]}" if len(records) == 1 else ""
        return f"ActionTarget({counted(len(self.action), 'pair')} of state and action{record})"

    def describe(self) -> dict[str, Any]:
        """The pairs themselves."""
        return {
            "target": self.name,
            "observation": tree_map(lambda part: part.tolist(), self.observation),
            "action": self.action.tolist(),
        }

    @property
    def each(self) -> list[ActionTarget]:
        """Its pairs one by one."""
        rows = [slice(j, j + 1) for j in range(len(self.action))]
        return [ActionTarget(tree_map(itemgetter(row), self.observation), self.action[row]) for row in rows]

    @property
    def coefficient(self) -> Float32s:
        """(m,) 1/m each."""
        return np.full(len(self.action), 1 / len(self.action), np.float32)

    def value(self, policy: Policy) -> Tensor:
        """Mean log-probability of the pairs."""
        inputs, action = policy.encoded(self.observation), policy.as_tensor(self.action)
        return policy(inputs, action, with_value=False).log_prob.mean()


@dataclass(frozen=True, eq=False)
class ReturnTarget:
    """f = mean_i A_i log pi(a_i|s_i) over a reference buffer, raw advantages (paper, eq. 3)."""

    observation: Any
    """(n, ...); or dicts, tuples and lists of such arrays, where the policy encodes them."""
    action: NDArray[Any]
    """(n,) or (n, d)"""
    advantage: Float32s
    """(n,) raw."""
    name: str = "return"
    called: TargetName | None = None
    """What names it, where something does."""
    of_kind: str | None = None
    """The kind of run that it was made of, where it was made of one."""

    def __repr__(self) -> str:
        return f"ReturnTarget({counted(len(self.action), 'record')})"

    def describe(self) -> dict[str, Any]:
        """A digest of the buffer it is taken over."""
        digest = hashlib.sha256()
        for column in tree_leaves((self.observation, self.action, self.advantage)):
            digest.update(np.ascontiguousarray(column).data)
        return {"target": self.name, "buffer": digest.hexdigest()[:16]}

    @property
    def coefficient(self) -> Float32s:
        """(n,) A_i / n."""
        return self.advantage / np.float32(len(self.advantage))

    def value(self, policy: Policy) -> Tensor:
        """Mean of advantage times log-probability."""
        return torch.stack([*self.parts(policy)]).sum()

    def parts(self, policy: Policy) -> Iterator[Tensor]:
        """What each block of the records has of the mean; a policy with a memory is shown all of them at once."""
        n = len(self.action)
        for rows in blocks(n, whole=policy.has_memory):
            inputs = policy.encoded(tree_map(itemgetter(rows), self.observation))
            log_prob = policy(inputs, policy.as_tensor(self.action[rows]), with_value=False).log_prob
            mean = (policy.as_tensor(self.advantage[rows]) * log_prob).mean()
            yield mean * ((rows.stop - rows.start) / max(n, 1))


def return_target(snapshot: Snapshot, reference: Any | None = None) -> ReturnTarget:
    """`chosen_targets.return_target` where a record is an observation and an action."""
    buffer = snapshot.buffer if reference is None else reference
    if not all(hasattr(buffer, column) for column in ("observation", "action", "advantage")):
        raise BadInputError("the reference buffer has no observations; take the buffer of a round of this kind of run")
    called = TargetName() if reference is None else None
    advantage = getattr(buffer, "estimated", buffer.advantage)  # a repair is no news of what the policy returns
    made = ReturnTarget(buffer.observation, buffer.action, advantage, called=called, of_kind=snapshot.kind)
    if reference is not None:
        kind_named(snapshot.kind).check_target(snapshot, made)
    return made


def check_columns(snapshot: Snapshot, target: Any, spaces: tuple[Space, Space] | None = None) -> None:
    """Refuse a target whose states and actions are not such as the round's records have.

    Raises:
        BadInputError: their shapes differ, or a value is out of its discrete space.
    """
    for what, space in zip(("observation", "action"), spaces or (None, None), strict=True):
        given, own = getattr(target, what, None), getattr(snapshot.buffer, what, None)
        if given is None or own is None:
            continue
        shape, wanted = (tree_map(lambda part: tuple(np.shape(part)[1:]), column) for column in (given, own))
        if shape != wanted:
            raise BadInputError(
                f"the {what}s of this {target.name} target have shape {shape}, those of round {snapshot.round} {wanted}; "
                "make the target of this run"
            )
        if space is not None and space.kind == "discrete" and np.size(given):
            low, high = np.min(given), np.max(given)
            if low < 0 or high >= space.n:
                raise BadInputError(
                    f"the {what}s of this {target.name} target are from {low} to {high}, those of round {snapshot.round} from 0 "
                    f"to {space.n - 1}; make the target of this run"
                )


def action_target(
    snapshot: Snapshot,
    *,
    record: int | Sequence[int] | NDArray[Any] | None = None,
    observation: Any | None = None,
    action: Any | None = None,
) -> ActionTarget:
    """`chosen_targets.action_target` where a record is an observation and an action."""
    if (record is None) == (observation is None):
        raise BadInputError("an action target needs either a record, or an observation and an action")
    typed = None if action is None else _as_action(action, _spaces(snapshot)[1])
    flat = () if typed is None else tuple(typed.ravel().tolist())
    if record is not None:
        records = check_records(np.atleast_1d(record), len(snapshot.buffer))
        if not len(records):
            raise BadInputError("an action target of no records says nothing; choose at least one")
        actions = snapshot.buffer.action[records] if typed is None else np.repeat(typed[None], len(records), axis=0)
        called = TargetName(target="action", about=tuple(records.tolist()), action=flat)
        states = tree_map(lambda part: part[records], snapshot.buffer.observation)
        return ActionTarget(states, actions, called=called, of_kind=snapshot.kind)
    return replace(typed_target(*_spaces(snapshot), observation, action), of_kind=snapshot.kind)


def typed_target(observation_space: Space, action_space: Space, observation: Any, action: Any | None) -> ActionTarget:
    """The action target of a hand-typed observation and action, which need be of no record.

    Raises:
        BadInputError: there is no action, or a value does not fit its space.
    """
    if action is None:
        raise BadInputError("an observation needs an action beside it")
    typed = _as_action(action, action_space)
    state = as_space("observation", observation, observation_space)
    called = TargetName(
        target="action", observation=tuple(state.ravel().tolist()), action=tuple(typed.ravel().tolist())
    )
    return ActionTarget(state[None], typed[None], called=called)


def target_of_records(snapshot: Snapshot, name: TargetName) -> ActionTarget | ReturnTarget:
    """`return` or `action`; `chosen_targets.named_target` says the errors."""
    if name.tokens:
        raise BadInputError("tokens belong to the responses of a language model (--tokens); a record here has none")
    if name.target == "return":
        if name.about or name.observation or name.action:
            raise BadInputError("records, observations and actions belong to the action target (--target action)")
        if name.of_round is None or name.of_round == snapshot.round:
            return return_target(snapshot)
        if snapshot.path is None:
            raise BadInputError(
                f"round {name.of_round} can't be read: only a recorded round knows the others of its run"
            )
        other = open_run(snapshot.path).snapshot(name.of_round)
        return replace(return_target(snapshot, other.buffer), called=name)
    if name.target != "action":
        raise BadInputError(f"unknown target {name.target!r}; it must be return or action")
    if name.of_round is not None:
        raise BadInputError("another round's buffer belongs to the return target (--target return)")
    return action_target(
        snapshot, record=name.about or None, observation=name.observation or None, action=name.action or None
    )


def _spaces(snapshot: Snapshot) -> tuple[Space, Space]:
    """What observations and actions look like.

    Raises:
        BadInputError: that is said of none in this kind of run.
    """
    found: tuple[Space, Space] | None = kind_named(snapshot.kind).spaces(snapshot)
    if found is None:
        raise BadInputError(f"states and actions can't be typed for a run of the kind {snapshot.kind}; name a record")
    return found


def _as_action(value: Any, space: Space) -> NDArray[Any]:
    """A hand-typed action as records have it: continuous ones flat. Errors as `as_space`."""
    typed = as_space("action", value, space)
    return typed if space.kind == "discrete" else typed.ravel().astype(np.float32)


def as_space(name: str, value: Any, space: Space) -> NDArray[Any]:
    """A hand-typed value as an array of the space's shape and type.

    Raises:
        BadInputError: it does not fit; the message says what would.
    """
    if space.kind == "dict":
        raise BadInputError(f"an {name} of several parts can't be typed; name a record")
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
    typed = array.reshape(space.shape)
    if np.dtype(space.dtype).kind in "iu":
        bounds = np.iinfo(space.dtype)
        if not ((typed == np.round(typed)) & (typed >= bounds.min) & (typed <= bounds.max)).all():
            raise BadInputError(f"the {name} must be made of integers from {bounds.min} to {bounds.max}")
    return typed.astype(space.dtype)

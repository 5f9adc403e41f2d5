"""Columns as a loop has them, tensors or arrays, step by step or flat, as the records keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.envs.names import Names, numbered
from engine.errors import BadInputError
from engine.spaces import Space


def array(column: Any) -> NDArray[Any]:
    """Of a tensor, or of what NumPy takes for one."""
    return column.detach().cpu().numpy() if isinstance(column, torch.Tensor) else np.asarray(column)


def column(name: str, column: Any, n: int) -> NDArray[Any]:
    """(T, E, ...) or (n, ...) -> (n, ...) of its own.

    Raises:
        BadInputError: it has another length.
    """
    found = array(column)
    lead = 2 if found.ndim > 1 and found.shape[0] != n and found.shape[0] * found.shape[1] == n else 1
    flat = found.reshape(-1, *found.shape[lead:])
    if len(flat) != n:
        raise BadInputError(f"{name} has {len(flat)} records, and log_prob has {n}")
    return flat.copy()


def numbers(name: str, column: Any, n: int) -> NDArray[Any]:
    """One number a record, (T, E), (T, E, 1), (n,) or (n, 1), -> (n,) of its own.

    >>> numbers("reward", [[[1.0], [2.0]], [[3.0], [4.0]]], n=4).tolist()
    [1.0, 2.0, 3.0, 4.0]

    Raises:
        BadInputError: there are more or fewer, or they are no numbers.
    """
    found = array(column)
    if found.dtype.kind not in "biuf":
        raise BadInputError(f"{name} is {found.dtype}; it must be numbers")
    if found.size != n:
        raise BadInputError(f"{name} has {found.size} records, and log_prob has {n}")
    return found.reshape(n).copy()


def parts(observation: Any, n: int) -> Any:
    """Observations as they are kept: a column, or a dict of columns."""
    if isinstance(observation, Mapping):
        return {str(name): column(str(name), part, n) for name, part in observation.items()}
    return column("observation", observation, n)


def observed(observation: Any) -> Space:
    """The space of a column of observations, or of several.

    Raises:
        BadInputError: they are no numbers.
    """
    if isinstance(observation, dict):
        return Space("dict", dtype="float32", parts={name: observed(part) for name, part in observation.items()})
    if observation.dtype.kind not in "biuf":
        raise BadInputError(f"observation is {observation.dtype}; it must be numbers")
    return Space("box", shape=observation.shape[1:], dtype=observation.dtype.name)


def acted(action: NDArray[Any], n_actions: int | None) -> Space:
    """The space of a column of actions; of whole numbers, those that are said, or seen."""
    if action.ndim == 1:
        return Space("discrete", n=n_actions or int(action.max()) + 1)
    unbounded = (float("-inf"),) * action.shape[1], (float("inf"),) * action.shape[1]
    return Space("box", shape=action.shape[1:], dtype="float32", low=unbounded[0], high=unbounded[1])


def spaces_of(
    observation: Any,
    action: NDArray[Any],
    n_actions: int | None,
    first: tuple[Space, Space] | None,
    names: Names,
) -> tuple[Space, Space]:
    """The spaces of a run's observations and actions, which the columns of every round fit.

    Args:
        observation: (n, ...), or a dict of such columns.
        action: (n,) whole numbers or (n, d).
        n_actions: how many actions there are, where somebody says so.
        first: the spaces by the first round; None: this is it.
        names: of the numbers of an observation, and of the actions; those without any are numbered.

    Raises:
        BadInputError: a column is of another kind, shape or type than in the first round, or an action is none of those;
            or there are more or fewer names.
    """
    now = observed(observation), acted(action, n_actions)
    found = first or names.on(*map(numbered, now, ("observation", "action")))
    for what, one, right in zip(("observation", "action"), map(_looks, now), map(_looks, found), strict=True):
        if one != right:
            raise BadInputError(
                f"{what} is {one}, and the first round's was {right}; give it as in the first round, nothing of this one is "
                "recorded"
            )
    known = found[1].n
    if known and not 0 <= (wrong := action.min() if action.min() < 0 else action.max()) < known:
        raise BadInputError(
            f"action {wrong} is none of the {known} that the first round took; say n_actions= to the recorder"
        )
    return found


def _looks(space: Space) -> str:
    if space.kind == "dict":
        return " and ".join(f"{name}: {_looks(part)}" for name, part in sorted(space.parts.items()))
    return "a whole number" if space.kind == "discrete" else f"{space.dtype} of shape {space.shape}"

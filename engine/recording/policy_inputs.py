"""What a policy of Stable-Baselines3 was shown at each step: the columns of a rollout buffer, and their space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kinds.recorded.policy import MASK
from engine.recording.gym_spaces import observed
from engine.spaces import Space


def space_of(model: Any) -> Space:
    """The space of what the policy was shown; which actions were allowed is a part of it."""
    found, masks = observed(model.observation_space), getattr(model.rollout_buffer, "action_masks", None)
    if masks is None:
        return found
    mask = Space("box", shape=masks.shape[-1:], dtype="bool")
    return Space("dict", dtype="float32", parts={**(found.parts or {"observation": found}), MASK: mask})


def observations_of(theirs: Any) -> Any:
    """(n, ...) of a rollout buffer, record t * n_envs + env; a dict of columns where there are several parts."""
    if isinstance(theirs.observations, dict):
        found: Any = {
            name: _squeezed(part, theirs.observation_space[name]) for name, part in theirs.observations.items()
        }
    else:
        found = _squeezed(theirs.observations, theirs.observation_space)
    masks = getattr(theirs, "action_masks", None)
    if masks is None:
        return found
    return {**(found if isinstance(found, dict) else {"observation": found}), MASK: flat(masks).astype(bool)}


def flat(column: NDArray[Any]) -> NDArray[Any]:
    """(n_steps, n_envs, ...) -> (n, ...) copies."""
    return column.reshape(-1, *column.shape[2:]).copy()


def _squeezed(column: NDArray[Any], space: Any) -> NDArray[Any]:
    found = flat(column)
    return found[:, 0].astype(np.int64) if type(space).__name__ == "Discrete" else found

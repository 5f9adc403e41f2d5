"""What a policy of Stable-Baselines3 was shown at each step: the columns of a rollout buffer, and the spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.envs.names import named_by
from engine.kinds.recorded.memory import PLACE, STARTS, STATES
from engine.kinds.recorded.snapshot import MASK
from engine.recording.episode_states import in_this_process
from engine.recording.gym_spaces import acted, observed
from engine.spaces import Space


def spaces_of(model: Any) -> tuple[Space, Space]:
    """The spaces of what the policy was shown and of its actions, with the environment's names where they fit.

    Which actions were allowed is a part of what it was shown, and what an LSTM had in memory.
    """
    envs, beside = in_this_process(model.get_env()), _spaces_beside(model)
    found = named_by(envs, observed(model.observation_space), "observation")
    if beside:
        found = Space("dict", dtype="float32", parts={**(found.parts or {"observation": found}), **beside})
    return found, named_by(envs, acted(model.action_space), "action")


def observations_of(model: Any) -> Any:
    """(n, ...) of a model's rollout buffer before its update, record t * n_envs + env; a dict where there are parts."""
    theirs = model.rollout_buffer
    if isinstance(theirs.observations, dict):
        found: Any = {
            name: _squeezed(part, theirs.observation_space[name]) for name, part in theirs.observations.items()
        }
    else:
        found = _squeezed(theirs.observations, theirs.observation_space)
    beside = _beside(model)
    return {**(found if isinstance(found, dict) else {"observation": found}), **beside} if beside else found


def _spaces_beside(model: Any) -> dict[str, Space]:
    theirs, found = model.rollout_buffer, dict[str, Space]()
    if hasattr(theirs, "action_masks"):
        found[MASK] = Space("box", shape=theirs.action_masks.shape[-1:], dtype="bool")
    if hasattr(theirs, "hidden_states_pi"):
        _, layers, _, size = theirs.hidden_state_shape
        found |= {name: Space("box", shape=(layers, size), dtype="float32") for name in _states(model)}
        found[PLACE] = Space("discrete", n=theirs.n_envs * (theirs.buffer_size + 1))
        found[STARTS] = Space("discrete", n=2)
    return found


def _beside(model: Any) -> dict[str, NDArray[Any]]:
    theirs, found = model.rollout_buffer, dict[str, NDArray[Any]]()
    if hasattr(theirs, "action_masks"):
        found[MASK] = flat(theirs.action_masks).astype(bool)
    if hasattr(theirs, "hidden_states_pi"):
        found |= {name: flat(column.swapaxes(1, 2)) for name, column in _states(model).items()}
        t, env = np.indices((theirs.buffer_size, theirs.n_envs)).reshape(2, -1)
        found[PLACE] = env * (theirs.buffer_size + 1) + t
        found[STARTS] = flat(theirs.episode_starts).astype(np.int64)
    return found


def _states(model: Any) -> dict[str, NDArray[Any]]:
    """(n_steps, layers, n_envs, size) each."""
    theirs = model.rollout_buffer
    found = dict(zip(STATES["actor"], (theirs.hidden_states_pi, theirs.cell_states_pi), strict=True))
    if model.policy.lstm_critic is not None:
        found |= zip(STATES["critic"], (theirs.hidden_states_vf, theirs.cell_states_vf), strict=True)
    return found


def flat(column: NDArray[Any]) -> NDArray[Any]:
    """(n_steps, n_envs, ...) -> (n, ...) copies."""
    return column.reshape(-1, *column.shape[2:]).copy()


def _squeezed(column: NDArray[Any], space: Any) -> NDArray[Any]:
    found = flat(column)
    return found[:, 0].astype(np.int64) if type(space).__name__ == "Discrete" else found

"""The fields of a round's records that a person sorts, plots and reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.kinds.control.control_only import control_only
from engine.kinds.control.rollout import td_errors
from engine.kinds.control.snapshot import ControlSnapshot
from engine.spaces import Space

SYMBOLS = 31
"""Images with no larger value hold numbers of things, as grid worlds do, rather than colours."""


@control_only
def record_fields(snapshot: ControlSnapshot) -> dict[str, NDArray[Any]]:
    """One column per field, n values each, in the order in which people ask for them.

    Components of observations and continuous actions carry their names; an image has none, and an action of several
    components is its norm under `action`. `influence` is left 0 for the caller.
    """
    buffer, config = snapshot.buffer, snapshot.config
    columns: dict[str, NDArray[Any]] = {
        "record": buffer.record,
        "influence": np.zeros(len(buffer), np.float32),
        "step in round": buffer.t,
        "environment": buffer.env,
        "episode": buffer.episode,
        "step in episode": steps_in_episode(snapshot),
        **action_components(snapshot),
        "reward": buffer.reward,
        "return": buffer.returns,
        "value": buffer.value,
        "advantage": buffer.advantage,
        "TD error": td_errors(buffer, config),
        "log probability": buffer.log_prob,
        "terminated": buffer.terminated,
        "truncated": buffer.truncated,
        "kept": buffer.kept,
        **({"repaired": buffer.repaired} if buffer.repaired.any() else {}),
    }
    for name, column in observation_components(snapshot).items():
        columns[name if name not in columns else f"observation: {name}"] = column
    for name, column in snapshot.extra.items():
        columns[name if name not in columns else f"info: {name}"] = column
    return columns


@control_only
def steps_in_episode(snapshot: ControlSnapshot) -> NDArray[np.int64]:
    """(n,) steps since the episode's reset, also of episodes that began in an earlier round."""
    buffer = snapshot.buffer
    _, begun, which = np.unique(buffer.episode, return_index=True, return_inverse=True)  # numbers may be of any size
    steps = (buffer.t - buffer.t[begun][which]).astype(np.int64)
    for i in range(snapshot.config.n_envs):
        earlier = snapshot.checkpoint.get(f"environment/{i}/actions")
        if earlier is not None:
            running = int(snapshot.checkpoint[f"environment/{i}/episode"])
            steps[buffer.episode == running] += len(earlier)
    return steps


@control_only
def observation_components(snapshot: ControlSnapshot) -> dict[str, NDArray[Any]]:
    """Component name -> (n,) values; a discrete observation is one component called `state`, an image has none."""
    space, observation = snapshot.shown
    if space.encoder == "parts":
        parts = {name: _components(part, space.parts[name]) for name, part in observation.items()}
        return {f"{name}: {component}": column for name, part in parts.items() for component, column in part.items()}
    return _components(observation, space)


def _components(observation: NDArray[Any], space: Space) -> dict[str, NDArray[Any]]:
    if space.encoder == "one_hot":
        return {"state": observation}
    if space.encoder == "image":
        return {}
    flat = observation.reshape(len(observation), -1)
    return {name: flat[:, j] for j, name in enumerate(space.component_names)}


@control_only
def action_components(snapshot: ControlSnapshot) -> dict[str, NDArray[Any]]:
    """`action` -> (n,) values; of a continuous one with several components the norm, then `action: <name>` of each."""
    action = snapshot.buffer.action
    if action.ndim == 1:
        return {"action": action}
    if action.shape[1] == 1:
        return {"action": action[:, 0]}
    parts = {f"action: {name}": action[:, j] for j, name in enumerate(snapshot.action_space.component_names)}
    return {"action": np.linalg.norm(action, axis=1), **parts}


@control_only
def observation_pictures(snapshot: ControlSnapshot, record: int) -> dict[str, NDArray[np.uint8]]:
    """A (height, width, 3) picture of an image observation, or of each part of one that is an image, by its name.

    It is stretched so that the round's largest value is 255, all channels alike, so that colours are what they are; where none
    is above `SYMBOLS`, every channel by itself. Three channels become red, green and blue; any other number of them grey.
    """
    space, observation = snapshot.shown
    parts: dict[str, Any] = observation if isinstance(observation, dict) else {"": observation}
    spaces = space.parts or {"": space}
    return {
        name: _picture(part, spaces[name], record) for name, part in parts.items() if spaces[name].encoder == "image"
    }


def _picture(images: NDArray[Any], space: Space, record: int) -> NDArray[np.uint8]:
    axis = space.channel_axis
    images = images[..., None] if axis is None else np.moveaxis(images, axis + 1, -1)
    largest = np.maximum(images.max(axis=(0, 1, 2)), 1)
    if largest.max() > SYMBOLS:
        largest = largest.max()
    stretched = images[record] * (255.0 / largest)
    if stretched.shape[2] != 3:
        stretched = np.repeat(stretched.mean(axis=2, keepdims=True), 3, axis=2)
    return stretched.astype(np.uint8)


def policy_in(policy: Any, observation: Any) -> NDArray[np.float32]:
    """What a policy says of one state: action probabilities, or means and then standard deviations.

    Args:
        policy: such as `Blueprint.policy` makes.
        observation: (1, ...), or a dict of such parts.
    """
    output, deviation = policy.action_parameters(observation)
    found = output.softmax(-1)[0] if deviation is None else torch.cat([output[0], deviation[0]])
    return np.asarray(found.numpy())


def rows_of(observation: Any, records: Any) -> Any:
    """The observations of some records, part by part where they have several."""
    if isinstance(observation, dict):
        return {name: part[records] for name, part in observation.items()}
    return observation[records]

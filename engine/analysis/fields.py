"""The fields of a round's records that a person sorts, plots and reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.learning.checkpoint import restore_policy
from engine.learning.rollout import td_errors
from engine.store.snapshot import Snapshot


def record_fields(snapshot: Snapshot) -> dict[str, NDArray[Any]]:
    """One column per field, n values each, in the order in which people ask for them.

    Observation components carry their names; a continuous action is its norm; `influence` is left 0 for the caller.
    """
    buffer, config = snapshot.buffer, snapshot.config
    columns: dict[str, NDArray[Any]] = {
        "record": buffer.record,
        "influence": np.zeros(len(buffer), np.float32),
        "step in round": buffer.t,
        "environment": buffer.env,
        "episode": buffer.episode,
        "step in episode": steps_in_episode(snapshot),
        "action": buffer.action if buffer.action.ndim == 1 else np.linalg.norm(buffer.action, axis=1),
        "reward": buffer.reward,
        "return": buffer.returns,
        "value": buffer.value,
        "advantage": buffer.advantage,
        "TD error": td_errors(buffer, config),
        "log probability": buffer.log_prob,
        "terminated": buffer.terminated,
        "truncated": buffer.truncated,
        "kept": buffer.kept,
    }
    for name, column in observation_components(snapshot).items():
        columns[name if name not in columns else f"observation: {name}"] = column
    return columns


def steps_in_episode(snapshot: Snapshot) -> NDArray[np.int64]:
    """(n,) steps since the episode's reset, also of episodes that began in an earlier round."""
    buffer = snapshot.buffer
    first = np.full(int(buffer.episode.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, buffer.episode, buffer.t)
    steps = buffer.t - first[buffer.episode]
    for i in range(snapshot.config.n_envs):
        earlier = snapshot.checkpoint.get(f"environment/{i}/actions")
        if earlier is not None:
            running = int(snapshot.checkpoint[f"environment/{i}/episode"])
            steps[buffer.episode == running] += len(earlier)
    return steps


def observation_components(snapshot: Snapshot) -> dict[str, NDArray[Any]]:
    """Component name -> (n,) values; a discrete observation is one component called `state`."""
    observation, space = snapshot.buffer.observation, snapshot.observation_space
    if space.kind == "discrete":
        return {"state": observation}
    flat = observation.reshape(len(observation), -1)
    names = space.names if len(space.names) == flat.shape[1] else [f"component {j}" for j in range(flat.shape[1])]
    return {name: flat[:, j] for j, name in enumerate(names)}


def policy_at(snapshot: Snapshot, record: int) -> NDArray[np.float32]:
    """What pi_theta(k) says of the record's state: action probabilities, or mean and standard deviation."""
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    observation = snapshot.buffer.observation[record : record + 1]
    if policy.log_std is None:
        return policy.probabilities(observation)[0]
    return torch.cat([policy.actor_output(observation)[0], policy.log_std.weight.detach().exp()]).numpy()

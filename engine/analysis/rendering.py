"""A picture of the state in which a record was made."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from engine.envs import find
from engine.learning.environment import StateNotRestoredError, VectorEnvironment
from engine.store.snapshot import Snapshot, check_records

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # environments that draw with pygame draw into memory


def render(snapshot: Snapshot, record: int) -> NDArray[np.uint8]:
    """Put the environment back into the record's state and draw it.

    The record's environment is restored to the start of the round and stepped through the recorded actions; the
    observation is checked against the recorded one at every step.

    Args:
        snapshot: its round.
        record: its number.

    Returns:
        (height, width, 3) RGB picture.

    Raises:
        BadInputError: the record is out of range.
        StateNotRestoredError: the environment shows another observation than the recorded one on the way.
    """
    check_records([record], len(snapshot.buffer))
    buffer, n_envs = snapshot.buffer, snapshot.config.n_envs
    i, steps = int(buffer.env[record]), int(buffer.t[record])
    environment = VectorEnvironment(find(snapshot.config.env_id), 1)
    try:
        environment.restore(snapshot.checkpoint, only=[i])
        for t in range(steps + 1):
            row = t * n_envs + i
            if not np.array_equal(environment.observation[0], buffer.observation[row]):
                raise StateNotRestoredError(
                    f"the state can't be shown: at step {t} {snapshot.config.env_id} leads to another observation "
                    "than the recorded one (another version of the environment?)"
                )
            if t < steps:
                environment.step(buffer.action[row : row + 1])
        # Only now: an environment that expects to be drawn steps ten times slower (LunarLander's particles).
        environment.envs[0].unwrapped.render_mode = "rgb_array"
        return np.asarray(environment.envs[0].render(), np.uint8)
    finally:
        environment.close()

"""A picture of the state in which a record was made."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from engine.envs import find
from engine.errors import EngineError
from engine.learning.environment import VectorEnvironment
from engine.learning.training import step_through
from engine.store.snapshot import Snapshot, check_records

os.environ.setdefault("SDL_VIDEODRIVER", "offscreen,dummy")  # environments that draw with pygame draw into memory


class CannotDrawError(EngineError):
    """The environment can't be drawn on this machine."""


def render(snapshot: Snapshot, record: int) -> NDArray[np.uint8]:
    """Put the environment back into the record's state and draw it.

    The record's environment is restored to the start of the round and stepped through the recorded actions; what it
    answers is checked against the record at every step.

    Args:
        snapshot: its round.
        record: its number.

    Returns:
        (height, width, 3) RGB picture.

    Raises:
        BadInputError: the record is out of range.
        StateNotRestoredError: the environment shows another observation than the recorded one on the way.
        CannotDrawError: drawing failed, such as for want of OpenGL.
    """
    check_records([record], len(snapshot.buffer))
    i, steps = int(snapshot.buffer.env[record]), int(snapshot.buffer.t[record])
    environment = VectorEnvironment(find(snapshot.config.env_id), 1)
    try:
        environment.restore(snapshot.checkpoint, only=[i])
        step_through(environment, snapshot, steps, only=[i])
        return draw(environment.envs[0], snapshot.config.env_id)
    finally:
        environment.close()


def draw(env: gym.Env[Any, Any], name: str) -> NDArray[np.uint8]:
    """(height, width, 3) RGB picture of an environment in its present state; `name` is what it is called in errors.

    Raises:
        CannotDrawError: drawing failed, such as for want of OpenGL.
    """
    # Only now: an environment that expects to be drawn steps ten times slower (LunarLander's particles).
    before, env.unwrapped.render_mode = env.unwrapped.render_mode, "rgb_array"
    try:
        with _opengl_in_memory():
            return np.array(env.render(), np.uint8)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CannotDrawError(
            f"{name} can't be drawn on this machine ({reason}); what is drawn with OpenGL needs EGL (on Debian: "
            "apt-get install libegl1) or OSMesa (set MUJOCO_GL=osmesa)"
        ) from error
    finally:
        env.unwrapped.render_mode = before


@contextmanager
def _opengl_in_memory() -> Iterator[None]:
    """Without a word from the user, MuJoCo draws through EGL. Only while it draws: importing it would need EGL too."""
    chosen = "MUJOCO_GL" in os.environ or sys.platform != "linux"
    if not chosen:
        os.environ["MUJOCO_GL"] = "egl"
    try:
        yield
    finally:
        if not chosen:
            del os.environ["MUJOCO_GL"]

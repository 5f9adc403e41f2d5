"""Pictures of the states in which records were made."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from engine.analysis.restoring import check_recorded
from engine.envs import Environment
from engine.errors import BadInputError, EngineError
from engine.kinds.control.control_only import control_only
from engine.kinds.control.learner import step_through
from engine.kinds.control.recorded_environment import environment_of
from engine.kinds.control.snapshot import ControlSnapshot
from engine.kinds.control.stepper import VectorEnvironment
from engine.store.snapshot import check_records

os.environ.setdefault("SDL_VIDEODRIVER", "offscreen,dummy")  # environments that draw with pygame draw into memory


Picture = NDArray[np.uint8]
"""(height, width, 3) RGB."""


class CannotDrawError(EngineError):
    """The environment can't be drawn on this machine."""


@control_only
def render(snapshot: ControlSnapshot, record: int) -> Picture:
    """Put the environment back into the record's state and draw it.

    The record's environment is restored to the start of the round and stepped through the recorded actions; what it
    answers is checked against the record at every step.

    Args:
        snapshot: its round.
        record: its number.

    Returns:
        (height, width, 3) RGB picture.

    Raises:
        BadInputError: the record is out of range, or the environment is not here.
        CannotRestoreError: the round was recorded without the states of its environments.
        StateNotRestoredError: the environment shows another observation than the recorded one on the way.
        CannotDrawError: drawing failed, such as for want of OpenGL.
    """
    return next(render_records(snapshot, [record]))


@control_only
def render_records(snapshot: ControlSnapshot, records: ArrayLike) -> Iterator[Picture]:
    """`render` for several records of one environment, in one pass through the recorded actions.

    Args:
        snapshot: their round.
        records: their numbers, all of the same environment.

    Yields:
        The pictures, by ascending record number; those that could be drawn before an error.

    Raises:
        BadInputError: a record is out of range, or they are of several environments; else as `render`.
    """
    wanted = check_records(records, len(snapshot.buffer))
    which = np.unique(snapshot.buffer.env[wanted])
    if len(which) != 1:
        raise BadInputError(f"records of environments {', '.join(map(str, which))} can't be drawn in one pass")
    check_recorded(snapshot)
    environment = VectorEnvironment(environment_of(snapshot), 1)
    try:
        environment.restore(snapshot.checkpoint, only=which.tolist())
        here = 0
        for step in snapshot.buffer.t[wanted].tolist():
            step_through(environment, snapshot, step, only=which.tolist(), first=here)
            here = step
            yield take_picture(environment.envs[0], environment.environment)
    finally:
        environment.close()


@control_only
def render_state(snapshot: ControlSnapshot, observation: ArrayLike) -> Picture:
    """Draw a state that somebody typed.

    Where a record of the round saw it, that record's state is drawn. Else the environment is put into it, which takes one
    whose state is what it shows, such as CartPole's or FrozenLake's.

    Args:
        snapshot: of a round of the run.
        observation: as the policy sees it.

    Returns:
        (height, width, 3) RGB picture.

    Raises:
        CannotDrawError: what the environment shows does not say its state; else as `render`.
    """
    typed = np.asarray(observation)
    if len(seen := records_in_state(snapshot, typed)):
        return render(snapshot, int(seen[0]))
    environment = environment_of(snapshot)
    env = environment.make()
    try:
        shown, _ = env.reset(seed=0)
        access = environment.access(env)
        state = () if access is None else access.read(env)
        if snapshot.config.normalize_observation or not _is_shown(state, shown):
            raise CannotDrawError(f"no record saw this state, and what {environment.name} shows does not say its state")
        environment.put(env, (typed.reshape(np.shape(state[0])).astype(np.asarray(state[0]).dtype), *state[1:]), 0)
        return take_picture(env, environment)
    finally:
        env.close()


@control_only
def records_in_state(snapshot: ControlSnapshot, observation: ArrayLike) -> NDArray[np.int64]:
    """The records of a round whose policy saw this, to the digits that people type; none where observations have parts."""
    seen = snapshot.buffer.observation
    if isinstance(seen, dict):
        return np.zeros(0, np.int64)
    typed = np.asarray(observation, np.float64).reshape(1, -1)
    return np.flatnonzero(np.isclose(seen.reshape(len(seen), -1), typed, rtol=1e-3, atol=1e-6).all(axis=1))


def _is_shown(state: tuple[Any, ...], shown: Any) -> bool:
    """Whether an environment's state is what it shows, to rounding."""
    return bool(state) and np.shape(state[0]) == np.shape(shown) and np.allclose(state[0], shown, atol=1e-6)


@control_only
def episode_records(snapshot: ControlSnapshot, record: int, most: int) -> NDArray[np.int64]:
    """The records of a record's episode in this round, thinned evenly to at most `most`, first and last among them.

    An episode of records 0 to 9, thinned to 4 -> 0, 3, 6, 9.
    """
    check_records([record], len(snapshot.buffer))
    records = np.flatnonzero(snapshot.buffer.episode == snapshot.buffer.episode[record])
    places = np.linspace(0, len(records) - 1, min(most, len(records))).round().astype(np.int64)
    return records[places]


def take_picture(env: gym.Env[Any, Any], environment: Environment) -> Picture:
    """Picture of an environment in its present state, whatever was drawn before.

    Args:
        env: it, reset at least once.
        environment: what made it.

    Raises:
        CannotDrawError: drawing failed, such as for want of OpenGL.
    """
    # Only for as long: an environment that expects to be drawn steps ten times slower (LunarLander's particles).
    before, env.unwrapped.render_mode = env.unwrapped.render_mode, "rgb_array"
    if environment.draw_afresh is not None:
        environment.draw_afresh(env)
    try:
        with _opengl_in_memory():
            return np.array(env.render(), np.uint8)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "rgb_array" not in (env.metadata.get("render_modes") or ()):
            raise CannotDrawError(f"{environment.name} draws no pictures: it has no render mode rgb_array") from error
        raise CannotDrawError(
            f"{environment.name} can't be drawn on this machine ({reason}); what is drawn with OpenGL needs EGL (on Debian: "
            "apt-get install libegl1) or OSMesa (set MUJOCO_GL=osmesa)"
        ) from error
    finally:
        env.unwrapped.render_mode = before


def picture_seconds(environment: Environment) -> tuple[float, float]:
    """How long an environment's first picture takes here, with all that it sets up, and every further one.

    Raises:
        EngineError: it can't be made, or not drawn.
    """
    env = environment.make()
    try:
        env.reset(seed=0)
        begun = time.perf_counter()
        take_picture(env, environment)
        first = time.perf_counter()
        take_picture(env, environment)
        return first - begun, time.perf_counter() - first
    finally:
        env.close()


def to_png(picture: Picture, width: int) -> bytes:
    """A PNG file of the picture, made smaller where it is wider than `width` pixels."""
    image = Image.fromarray(picture)
    if image.width > width:
        image = image.resize((width, max(1, image.height * width // image.width)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


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

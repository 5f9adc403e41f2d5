"""Back to the states in which records were made, as often as one likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import generator_at
from engine.envs import Environment
from engine.errors import BadInputError, EngineError
from engine.kinds.control.control_only import control_only
from engine.kinds.control.normalization import begin_normalizer
from engine.kinds.control.recorded_environment import environment_of, with_states
from engine.kinds.control.snapshot import ControlSnapshot
from engine.kinds.control.stepper import Episode, StateNotRestoredError, VectorEnvironment, feasible
from engine.spaces import Space

NORMALIZER = "environment/normalizer/"
"""Before the names of the statistics that were in force where the round begins."""


class CannotRestoreError(EngineError):
    """No state of the round can be restored on this machine."""


@dataclass(frozen=True, eq=False)
class Point:
    """A state of an environment: what came before it, and where it can be read, the state itself."""

    rng: Mapping[str, Any]
    """The environment's generator just before the episode's reset."""
    actions: NDArray[Any]
    """(elapsed, ...) actions since the reset."""
    shown: NDArray[Any]
    """What the environment shows there, not normalised."""
    state: tuple[Any, ...] | None = None
    """As `StateAccess.read` took it; None where the environment's state can't be read."""

    @property
    def key(self) -> bytes | None:
        """Equal in points whose future has the same distribution (time limit included); None where that is not known."""
        if self.state is None:
            return None
        return b"/".join([str(len(self.actions)).encode(), *(np.asarray(part).tobytes() for part in self.state)])

    def restore(self, environment: Environment, env: gym.Env[Any, Any], action_space: Space) -> gym.Env[Any, Any]:
        """Put an environment into the state: by writing it, else by stepping through the episode's actions again.

        Args:
            environment: its catalogue entry.
            env: a copy that was reset at least once; it may be closed and another one returned in its place.
            action_space: of the run.

        Raises:
            StateNotRestoredError: the actions led to another observation.
        """
        if self.state is not None:
            environment.put(env, self.state, len(self.actions))
            return env
        env = environment.renewed(env)
        env.unwrapped.np_random = generator_at(self.rng)
        shown, _ = env.reset()
        for action in self.actions:
            shown, *_ = env.step(feasible(action, action_space))
        if not np.array_equal(shown, self.shown):
            raise StateNotRestoredError(
                f"{environment.name}: {len(self.actions)} actions of an episode led to another observation than before"
            )
        return env


@control_only
def check_recorded(snapshot: ControlSnapshot) -> None:
    """Refuse a round that was recorded without the states of its environments.

    Raises:
        CannotRestoreError: it was.
    """
    if not with_states(snapshot):
        raise CannotRestoreError(f"round {snapshot.round} was recorded without the states of its environments")


@control_only
def points(snapshot: ControlSnapshot) -> list[Point | None]:
    """The state of every record of a round, from one pass through the recorded actions.

    What each environment shows is compared with the records on the way. From the first observation, reward or end of an
    episode that differs, the later records of that environment are not restored.

    Returns:
        One per record, by number; None where the record's state can't be restored.

    Raises:
        CannotRestoreError: the environment is not here, or the recording has no environment
            states.
    """
    config, buffer, (_, recorded) = snapshot.config, snapshot.buffer, snapshot.from_environment
    check_recorded(snapshot)
    normalizer = begin_normalizer(replace(config, normalize_reward=False))
    if normalizer is not None and not any(name.startswith(f"{NORMALIZER}observation") for name in snapshot.checkpoint):
        raise CannotRestoreError(f"round {snapshot.round} was recorded without the statistics of its observations")
    try:
        environment = environment_of(snapshot)
        environments = [VectorEnvironment(environment, 1) for _ in range(config.n_envs)]
    except BadInputError as error:
        raise CannotRestoreError(str(error)) from error
    try:
        right = np.array([_begins(each, snapshot, i) for i, each in enumerate(environments)])
        if normalizer is not None:
            normalizer.load(snapshot.checkpoint, NORMALIZER)
        found: list[Point | None] = []
        for t in range(config.n_steps):
            rows = t * config.n_envs + np.arange(config.n_envs)
            shown = np.concatenate([each.shown for each in environments])
            seen = shown if normalizer is None else normalizer.normalize(shown)
            right &= [np.array_equal(a, b) for a, b in zip(seen, recorded[rows], strict=True)]
            found += [_point(each) if good else None for each, good in zip(environments, right, strict=True)]
            for i in np.flatnonzero(right):
                step = environments[i].step(buffer.action[rows[i : i + 1]])
                happened = (step.reward[0], step.terminated[0], step.truncated[0])
                right[i] = happened == tuple(c[rows[i]] for c in (buffer.reward, buffer.terminated, buffer.truncated))
            if normalizer is not None:
                done = buffer.terminated[rows] | buffer.truncated[rows]
                normalizer.step(np.concatenate([each.shown for each in environments]), buffer.reward[rows], done)
        return found
    finally:
        for each in environments:
            each.close()


def _begins(environment: VectorEnvironment, snapshot: ControlSnapshot, i: int) -> bool:
    """Bring a single environment to where the recorded environment i stood at the round's start, if it gets there."""
    try:
        environment.restore(snapshot.checkpoint, only=[i])
    except StateNotRestoredError:
        return False
    return True


def _point(environment: VectorEnvironment) -> Point:
    episode: Episode = environment.episodes[0]
    access = environment.environment.access(environment.envs[0])
    state = None if access is None else access.read(environment.envs[0])
    dtype = np.int64 if environment.action_space.kind == "discrete" else np.float32
    actions = np.array(episode.actions, dtype).reshape(-1, *environment.action_space.shape)
    return Point(episode.rng, actions, environment.shown[0].copy(), state)

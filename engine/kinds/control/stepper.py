"""A synchronous same-step vector environment whose state can be saved, restored and rendered.

Gymnasium's default vector environments insert a phantom step after each episode. This one does not: when an episode
ends, the environment is reset within the same step, so n steps of m environments are exactly n * m real records.

An environment's state is its random generator as of the running episode's reset, and the actions taken since: stepping
through them again leads to the same state in every environment of the catalogue, and the observation proves it. The
state of a normaliser, if there is one, is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import decode_rng, encode_rng, generator_at
from engine.envs import Environment
from engine.errors import DamagedRunError, EngineError
from engine.kinds.control.normalization import Normalizer
from engine.spaces import Space


class StateNotRestoredError(EngineError):
    """Stepping through the recorded actions led to another observation than the recorded one."""


class Step(NamedTuple):
    """The outcome of one step of m environments."""

    reward: NDArray[np.float32]
    """(m,) raw."""
    scaled_reward: NDArray[np.float32]
    """(m,) what advantages are made of: normalised, where rewards are."""
    terminated: NDArray[np.bool_]
    """(m,)"""
    truncated: NDArray[np.bool_]
    """(m,)"""
    final_observation: dict[int, NDArray[Any]]
    """Environment -> the last observation of the episode that ended in it at this step, as the network sees it."""
    finished: list[Episode]
    """The episodes that ended at this step."""


@dataclass
class Episode:
    """An episode of one environment: enough to come back to its present state."""

    number: int
    rng: Mapping[str, Any]
    """State of the environment's bit generator just before the reset."""
    actions: list[Any] = field(default_factory=list)
    reward_sum: float = 0.0
    """Undiscounted return so far."""


class VectorEnvironment:
    """`n_envs` copies of a catalogue entry, stepped together."""

    def __init__(self, environment: Environment, n_envs: int, normalizer: Normalizer | None = None) -> None:
        self.environment, self.normalizer = environment, normalizer
        shown, self.action_space = environment.spaces()
        self.observation_space = shown if normalizer is None else normalizer.seen(shown)
        self.envs = [environment.make() for _ in range(n_envs)]
        self.episodes: list[Episode] = []
        self.shown: NDArray[Any] = np.zeros((n_envs, *shown.shape), shown.dtype)
        """(n_envs, ...) what each environment shows now."""

    @property
    def observation(self) -> NDArray[Any]:
        """(n_envs, ...) what the network sees of it."""
        return self.shown if self.normalizer is None else self.normalizer.normalize(self.shown)

    def seed(self, seed: int) -> None:
        """Begin episode i in environment i, each with a generator of its own made from `seed`."""
        for i, sequence in enumerate(np.random.SeedSequence(seed).spawn(len(self.envs))):
            self._begin(i, i, np.random.PCG64(sequence).state)
        if self.normalizer is not None:
            self.normalizer.reset(self.shown)

    def step(self, action: NDArray[Any]) -> Step:
        """Step every environment; `action` (n_envs,) or (n_envs, d) as the policy sampled it."""
        n = len(self.envs)
        reward = np.zeros(n, np.float32)
        terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
        final_observation: dict[int, NDArray[Any]] = {}
        finished: list[Episode] = []
        for i, env in enumerate(self.envs):
            reward[i], terminated[i], truncated[i] = self._step_one(i, action[i])
            if terminated[i] or truncated[i]:
                final_observation[i] = self.shown[i].copy()
                finished.append(self.episodes[i])
                number = 1 + max(episode.number for episode in self.episodes)
                self._begin(i, number, env.unwrapped.np_random.bit_generator.state)
        scaled = reward
        if self.normalizer is not None:
            scaled = self.normalizer.step(self.shown, reward, terminated | truncated)
            final_observation = {i: self.normalizer.normalize(last) for i, last in final_observation.items()}
        return Step(reward, scaled, terminated, truncated, final_observation, finished)

    def _step_one(self, i: int, action: Any) -> tuple[float, bool, bool]:
        episode = self.episodes[i]
        episode.actions.append(action)
        outcome = self.envs[i].step(feasible(action, self.action_space))
        self.shown[i], reward, terminated, truncated, _ = outcome
        episode.reward_sum += float(reward)
        return float(reward), bool(terminated), bool(truncated)

    def state(self) -> dict[str, NDArray[Any]]:
        """Checkpoint tensors `environment/<i>/{rng,actions,episode,observation}` and `environment/normalizer/...`."""
        dtype = np.int64 if self.action_space.kind == "discrete" else np.float32
        tensors: dict[str, NDArray[Any]] = {}
        for i, episode in enumerate(self.episodes):
            actions = np.array(episode.actions, dtype).reshape(-1, *self.action_space.shape)
            tensors[f"environment/{i}/rng"] = encode_rng(episode.rng)
            tensors[f"environment/{i}/actions"] = actions
            tensors[f"environment/{i}/episode"] = np.array(episode.number, np.int64)
            tensors[f"environment/{i}/observation"] = self.shown[i].copy()
        return tensors if self.normalizer is None else tensors | self.normalizer.state("environment/normalizer/")

    def restore(self, tensors: Mapping[str, NDArray[Any]], only: Sequence[int] | None = None) -> None:
        """Go back to a state that `state` saved.

        Args:
            tensors: a checkpoint.
            only: which of the recorded environments to take, in this order; by default all.

        Raises:
            StateNotRestoredError: the observation reached is not the recorded one.
        """
        self.episodes = []
        for i, source in enumerate(range(len(self.envs)) if only is None else only):
            number, rng, actions, shown = self._recorded(tensors, f"environment/{source}/")
            self._begin(i, number, rng)
            for action in actions:
                self._step_one(i, action)
            if not np.array_equal(self.shown[i], shown):
                raise StateNotRestoredError(
                    f"{self.environment.name}: stepping through the recorded actions of episode {number} did not "
                    "lead back to the recorded observation (another version of the environment?)"
                )
        if self.normalizer is not None:
            self.normalizer.load(tensors, "environment/normalizer/")

    def _recorded(self, tensors: Mapping[str, NDArray[Any]], prefix: str) -> tuple[int, dict[str, Any], Any, Any]:
        """What a checkpoint says of an environment: episode, generator, actions since its reset, observation.

        Raises:
            StateNotRestoredError: it says nothing that can be understood.
        """
        names = ("episode", "rng", "actions", "observation")
        try:
            number, rng, actions, shown = (tensors[prefix + name] for name in names)
            state = decode_rng(rng)
            generator_at(state)
            fits = actions.shape[1:] == self.action_space.shape and actions.dtype.kind in "if"
            if self.action_space.kind == "discrete" and ((actions < 0) | (actions >= self.action_space.n)).any():
                fits = False
            if not fits:
                raise ValueError("its actions are none of the action space")
            return int(number), state, actions, shown
        except (KeyError, TypeError, ValueError, DamagedRunError) as error:
            raise StateNotRestoredError(
                f"{self.environment.name}: the recorded state of its environment can't be understood ({error})"
            ) from error

    def close(self) -> None:
        """Close every environment."""
        for env in self.envs:
            env.close()

    def _begin(self, i: int, number: int, rng: Mapping[str, Any]) -> None:
        self.envs[i] = self.environment.renewed(self.envs[i])
        self.envs[i].unwrapped.np_random = generator_at(rng)
        self.shown[i], _ = self.envs[i].reset()
        episode = Episode(number, rng)
        self.episodes[i : i + 1] = [episode]


def feasible(action: Any, space: Space) -> Any:
    """What the environment sees of an action: an int, or the Gaussian sample clipped to the bounds, in the space's shape."""
    if space.kind == "discrete":
        return int(action)
    low, high = np.asarray(space.low, space.dtype), np.asarray(space.high, space.dtype)
    return np.clip(np.ravel(action).astype(space.dtype), low, high).reshape(space.shape)

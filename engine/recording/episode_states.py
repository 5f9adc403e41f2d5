"""What leads back to the states of environments that somebody else steps: generators before each reset, and actions since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from engine.core.checkpoint import encode_rng


class EpisodeStates:
    """The running episode of each environment. It watches resets, and changes nothing about them.

    Of the episode that runs when watching begins nothing is known, as it was reset before.
    """

    def __init__(self, envs: list[gym.Env[Any, Any]]) -> None:
        """Watch environments that step in this process; none of them means that they step in others."""
        self.envs = envs
        self.rng: list[Mapping[str, Any] | None] = [None] * len(envs)
        self._taken: list[Any] = []
        """The actions of all of them at each step, as far back as an episode needs them."""
        self._since = np.zeros(len(envs), np.int64)
        """Where those of the running episode begin."""
        for i, env in enumerate(envs):
            env.reset = self._watched(i, env)  # type: ignore[method-assign]

    def _watched(self, i: int, env: gym.Env[Any, Any]) -> Callable[..., Any]:
        reset = env.reset

        def seen(*args: Any, seed: int | None = None, **kwargs: Any) -> Any:
            generator = env.unwrapped._np_random if seed is None else seeding.np_random(seed)[0]
            state = None if generator is None else generator.bit_generator.state
            self.rng[i] = state if state is not None and state["bit_generator"] == "PCG64" else None
            self._since[i] = len(self._taken)
            return reset(*args, seed=seed, **kwargs)

        return seen

    def step(self, actions: NDArray[Any], dones: NDArray[np.bool_]) -> None:
        """Note the actions of a step; an environment that is done was reset within it."""
        if self.envs:
            self._taken.append(actions)
            if True in dones.tolist():
                self._since[dones] = len(self._taken)

    def tensors(self, number: NDArray[np.int64], shown: Any) -> dict[str, NDArray[Any]]:
        """`environment/<i>/{rng,actions,episode,observation}` of those whose episode is known from its reset on.

        Args:
            number: (n_envs,) of the running episodes.
            shown: (n_envs, ...) what the environments show, not normalised; nothing is kept of observations in parts.
        """
        needed = min(self._since, default=0)
        self._taken, self._since = self._taken[needed:], self._since - needed
        found: dict[str, NDArray[Any]] = {}
        for i, rng in enumerate(self.rng):
            if rng is None or isinstance(shown, dict):
                continue
            actions = np.array([taken[i] for taken in self._taken[self._since[i] :]])
            found[f"environment/{i}/rng"] = encode_rng(rng)
            found[f"environment/{i}/actions"] = actions.astype(np.int64 if actions.dtype.kind in "iu" else np.float32)
            found[f"environment/{i}/episode"] = np.array(number[i], np.int64)
            found[f"environment/{i}/observation"] = np.array(shown[i])
        return found

    def stop(self) -> None:
        """Watch no longer."""
        for env in self.envs:
            vars(env).pop("reset", None)


def in_this_process(vec_env: Any) -> list[gym.Env[Any, Any]]:
    """The environments of a vectorised one of Stable-Baselines3, where they are stepped in this process."""
    return list(getattr(vec_env.unwrapped, "envs", ()))

"""Whether an environment comes back to the same states: a short test with random actions, before its training begins."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from engine.core.checkpoint import generator_at
from engine.envs import Environment

EPISODES, EPISODES_ANEW = 16, 3
"""Of the test at most, and those that are played in environments made anew where others differ."""
STEPS, LONGEST = 600, 150
"""After so many steps the test begins no episode, and so many an episode has at most."""

Episode = tuple[list[Any], Mapping[str, Any]]
"""All that it shows and gives, and the generator's state at its end."""


def with_repeats(environment: Environment) -> Environment:
    """The environment with what the test says of it: in its specification, and in whether every episode has a new one.

    Entries of the catalogue are known, and not tested.

    Raises:
        BadInputError: its spaces are not supported, or it does not keep to them.
    """
    if environment.spec is None:
        return environment
    environment.spaces()
    found = how_it_repeats(environment)
    return replace(environment, spec=replace(environment.spec, repeats=found), fresh_each_episode=found == "fresh")


def how_it_repeats(environment: Environment) -> Literal["always", "fresh", "never"]:
    """Play some episodes in one environment, then in another from the last to the first; if they differ, in new ones."""
    env, other = environment.make(), environment.make()
    try:
        actions = _draw(env.action_space)
        states: list[Mapping[str, Any]] = [np.random.PCG64(0).state]
        episodes: list[Episode] = []
        while len(episodes) < EPISODES and sum(map(_steps, episodes)) < STEPS:
            episodes.append(_play(env, states[-1], actions))
            states.append(episodes[-1][1])
        if all(_equal(_play(other, states[i], actions), episodes[i]) for i in reversed(range(len(episodes)))):
            return "always"
    finally:
        env.close()
        other.close()
    pairs = [[_play_anew(environment, state, actions) for _ in range(2)] for state in states[:EPISODES_ANEW]]
    return "fresh" if all(_equal(*pair) for pair in pairs) else "never"


def _draw(space: gym.Space[Any]) -> list[Any]:
    own = deepcopy(space)
    own.seed(0)
    drawn = [own.sample() for _ in range(LONGEST)]
    return [int(action) for action in drawn] if isinstance(own, gym.spaces.Discrete) else drawn


def _play(env: gym.Env[Any, Any], state: Mapping[str, Any], actions: list[Any]) -> Episode:
    env.unwrapped.np_random = generator_at(state)
    shown, _ = env.reset()
    happened: list[Any] = [_kept(shown)]
    for action in actions:
        shown, reward, terminated, truncated, _ = env.step(action)
        happened += [_kept(shown), _kept(reward), bool(terminated), bool(truncated)]
        if terminated or truncated:
            break
    return happened, env.unwrapped.np_random.bit_generator.state


def _play_anew(environment: Environment, state: Mapping[str, Any], actions: list[Any]) -> Episode:
    env = environment.make()
    try:
        return _play(env, state, actions)
    finally:
        env.close()


def _steps(episode: Episode) -> int:
    return len(episode[0]) // 4


def _kept(value: Any) -> NDArray[Any]:
    """A copy: an environment may go on to write into what it has shown."""
    return np.array(value)


def _equal(one: Episode, other: Episode) -> bool:
    """What happened, and what would be drawn next."""
    same_length = len(one[0]) == len(other[0])
    return same_length and one[1] == other[1] and all(map(np.array_equal, one[0], other[0]))

"""Test return of a policy: stochastic episodes, all stepped together, each with a seed of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.evaluation import EVALUATION_SEED
from engine.envs import Environment
from engine.errors import BadInputError
from engine.kinds.control.agents import Actor, in_episodes
from engine.kinds.control.normalization import Normalizer
from engine.kinds.control.stepper import feasible

LONGEST = 1_000_000
"""Steps after which an episode is given up that does not end."""


def check_length(environment: Environment, steps: int) -> None:
    """Refuse to go on with an episode that does not end.

    Raises:
        BadInputError: it has lasted for too long; says what to do.
    """
    if steps >= LONGEST:
        raise BadInputError(
            f"an episode of {environment.name} has not ended after {LONGEST:,} steps; give it a time limit "
            "(gymnasium.wrappers.TimeLimit) in a function that --make names"
        )


class Evaluator:
    """Plays episodes of one environment; keeps its environments, so that many policies cost few constructions.

    A normaliser shows policies what they would see in training; its statistics stay as they are, and returns are raw.
    """

    def __init__(self, environment: Environment, normalizer: Normalizer | None = None) -> None:
        self.environment, self.normalizer = environment, normalizer
        self.observation_space, self.action_space = environment.spaces()
        self._envs = [environment.make()]

    def returns(
        self, policy: Actor, seeds: Sequence[int] | NDArray[np.int64], on_step: Callable[[], None] | None = None
    ) -> NDArray[np.float64]:
        """Undiscounted returns of one episode per seed.

        A seed fixes the environment's generator and the noise of the sampled actions: policies evaluated on the same
        seeds meet the same starts and the same luck, so their difference is a paired one.

        Args:
            policy: acts stochastically.
            seeds: one episode each.
            on_step: called before every step of the episodes; raise from it to cancel.

        Returns:
            (len(seeds),) returns.

        Raises:
            BadInputError: an episode does not end.
        """
        while len(self._envs) < len(seeds):
            self._envs.append(self.environment.make())
        space = self.observation_space
        observation = np.zeros((len(seeds), *space.shape), space.dtype)
        for i, seed in enumerate(seeds):
            self._envs[i] = self.environment.renewed(self._envs[i])
            observation[i], _ = self._envs[i].reset(seed=int(seed))
        generators = [np.random.default_rng([int(seed), 1]) for seed in seeds]
        total = np.zeros(len(seeds))
        running = np.arange(len(seeds))
        steps, act = 0, in_episodes(policy, len(seeds))
        while len(running):
            check_length(self.environment, steps)
            steps += 1
            if on_step is not None:
                on_step()
            noise = np.concatenate([policy.draw_noise(generators[i], 1) for i in running])
            seen = observation[running] if self.normalizer is None else self.normalizer.normalize(observation[running])
            actions = act(seen, noise, running)
            done = np.zeros(len(running), bool)
            for j, i in enumerate(running.tolist()):
                outcome = self._envs[i].step(feasible(actions[j], self.action_space))
                observation[i], reward, terminated, truncated, _ = outcome
                total[i] += float(reward)
                done[j] = terminated or truncated
            running = running[~done]
        return total

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()


class Player(NamedTuple):
    """A policy, and what it sees of observations."""

    agent: Actor
    normalizer: Normalizer | None


class Episodes:
    """`core.evaluation.PolicyEvaluation` by stochastic episodes, each with a seed of its own."""

    def __init__(self, environment: Environment) -> None:
        self.evaluator = Evaluator(environment)

    def returns(
        self, player: Player, block: int, episodes: int, check: Callable[[], None] | None = None
    ) -> NDArray[np.float64]:
        """(episodes,) returns."""
        self.evaluator.normalizer = player.normalizer
        seeds = EVALUATION_SEED + block * episodes + np.arange(episodes)
        return self.evaluator.returns(player.agent, seeds, check)

    def close(self) -> None:
        """Close every environment."""
        self.evaluator.close()

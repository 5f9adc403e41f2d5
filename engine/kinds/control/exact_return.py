"""The expected return of a policy where an environment's states can be counted: computed, without playing an episode."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.envs import Environment
from engine.errors import BadInputError

if TYPE_CHECKING:
    from engine.kinds.control.agents import Agent


class Transitions(NamedTuple):
    """A finite environment: where an episode begins, where each action leads and what it gives on average."""

    start: NDArray[np.float64]
    """(n,) probabilities of the first state."""
    onward: NDArray[np.float64]
    """(n, actions, n) probabilities that the episode goes on in the next state; what is missing to 1 ends it."""
    reward: NDArray[np.float64]
    """(n, actions) expected reward of a step."""
    steps: int | None
    """Time limit of an episode; None: it has none."""


def transitions_of(environment: Environment) -> Transitions:
    """The table that an environment of Gymnasium's "toy text" family carries: `P` and `initial_state_distrib`.

    Raises:
        BadInputError: it has none.
    """
    env = environment.make()
    try:
        world, limit = env.unwrapped, None if env.spec is None else env.spec.max_episode_steps
        table, start = getattr(world, "P", None), getattr(world, "initial_state_distrib", None)
    finally:
        env.close()
    if table is None or start is None:
        raise BadInputError(
            f"{environment.name} has no table of transitions, from which its return could be computed; let episodes be played"
        )
    n, actions = len(table), len(table[0])
    onward, reward = np.zeros((n, actions, n)), np.zeros((n, actions))
    for state, chosen in table.items():
        for action, outcomes in chosen.items():
            for probability, following, gained, ends in outcomes:
                reward[state, action] += probability * gained
                onward[state, action, following] += 0 if ends else probability
    return Transitions(np.asarray(start, np.float64), onward, reward, limit)


def expected_return(transitions: Transitions, agent: Agent) -> float:
    """Mean undiscounted return of the episodes that an agent plays; it sees a state as its number."""
    n, actions = transitions.reward.shape
    log_prob = agent.log_prob(np.repeat(np.arange(n), actions), np.tile(np.arange(actions), n))
    return solved(transitions, np.exp(log_prob.astype(np.float64)).reshape(n, actions))


def solved(transitions: Transitions, policy: NDArray[np.float64]) -> float:
    """Mean undiscounted return of an episode.

    Without a time limit v = r + P v is solved; with one the probabilities of the states are carried on step by step, because
    the linear system would count what comes after the limit.

    >>> coin = Transitions(np.ones(1), np.array([[[0.5]]]), np.ones((1, 1)), None)  # goes on with every second step
    >>> solved(coin, np.ones((1, 1)))
    2.0
    >>> solved(coin._replace(steps=2), np.ones((1, 1)))
    1.5

    Args:
        transitions: the environment.
        policy: (n, actions) probability of each action in each state.
    """
    onward = np.einsum("sa,sat->st", policy, transitions.onward)
    reward = (policy * transitions.reward).sum(1)
    if transitions.steps is None:
        return float(transitions.start @ np.linalg.solve(np.eye(len(reward)) - onward, reward))
    at, total = transitions.start, 0.0
    for _ in range(transitions.steps):
        total += float(at @ reward)
        at = at @ onward
    return total

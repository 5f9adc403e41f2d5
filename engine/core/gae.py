"""Generalised advantage estimation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.store.snapshot import Float32s


def gae(
    reward: Float32s,
    value: Float32s,
    terminated: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    final_value: Float32s,
    last_value: Float32s,
    *,
    gamma: float,
    gae_lambda: float,
) -> Float32s:
    """Generalised advantage estimation (Schulman et al. 2016, eq. 16), per environment.

    With one environment, gamma = lambda = 1, all values 0 and the last step terminal: [r0, r1] -> [r0 + r1, r1].
    A terminated episode is worth nothing after its last step; a truncated one is worth V(final observation).

    Args:
        reward: (n_steps, n_envs) rewards, without the bootstrap of truncated episodes.
        value: (n_steps, n_envs) V(s_t).
        terminated: (n_steps, n_envs) the episode ended in a terminal state at t.
        truncated: (n_steps, n_envs) the episode was cut off at t.
        final_value: (n_steps, n_envs) V(final observation) where truncated; not read elsewhere.
        last_value: (n_envs,) V of the observations after the last step.
        gamma: discount.
        gae_lambda: lambda.

    Returns:
        (n_steps, n_envs) advantages, not normalised.
    """
    done = terminated | truncated
    next_value = np.vstack([value[1:], last_value[None]])
    next_value = np.where(done, np.where(truncated & ~terminated, final_value, np.float32(0)), next_value)
    delta = reward + np.float32(gamma) * next_value - value
    decay = np.where(done, np.float32(0), np.float32(gamma * gae_lambda))
    advantage = np.zeros_like(reward)
    following = np.zeros_like(last_value)
    for t in reversed(range(len(reward))):
        following = delta[t] + decay[t] * following
        advantage[t] = following
    return advantage

"""Collect a rollout buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import TrainConfig
from engine.core.advantage_steps import Trajectories
from engine.core.gae import gae
from engine.errors import BadNumberError
from engine.kinds.control.agents import Agent
from engine.kinds.control.snapshot import RolloutBuffer
from engine.kinds.control.stepper import Episode, VectorEnvironment
from engine.store.snapshot import Float32s


def trajectories_of(buffer: RolloutBuffer, config: TrainConfig) -> Trajectories:
    """The steps of every environment; an episode that a time limit cut off goes on in no recorded state."""
    following = buffer.record.astype(np.int64) + config.n_envs
    goes_on = (following < len(buffer)) & ~buffer.terminated & ~buffer.truncated
    return Trajectories(
        buffer.reward,
        buffer.value,
        buffer.estimated,
        np.where(goes_on, following, -1),
        buffer.terminated & ~buffer.truncated,
        buffer.record.astype(np.int64),
    )


def td_errors(buffer: RolloutBuffer, config: TrainConfig) -> Float32s:
    """(n,) delta_t = A_t - gamma * lambda * A_{t+1}: generalised advantage estimation, solved for its TD error."""
    return trajectories_of(buffer, config).td_errors(config.gamma * config.gae_lambda)


def collect(
    agent: Agent, environments: VectorEnvironment, config: TrainConfig, rng: np.random.Generator
) -> tuple[RolloutBuffer, list[Episode]]:
    """Collect one round with the present policy.

    Values and log-probabilities are evaluated in one batch afterwards: the policy does not change during a rollout.

    Args:
        agent: pi_theta(k) and its critic.
        environments: stepped `config.n_steps` times from where they stand.
        config: sizes, gamma and lambda.
        rng: generator of the sampled actions.

    Returns:
        B(k) with `n_steps * n_envs` records, and the episodes that ended in it.

    Raises:
        BadNumberError: an observation or a reward is not finite; names the step.
    """
    steps, n_envs = config.n_steps, len(environments.envs)
    space = environments.observation_space
    observation = np.zeros((steps, n_envs, *space.shape), space.dtype)
    chosen = environments.action_space
    width = () if chosen.kind == "discrete" else (chosen.size,)
    action = np.zeros((steps, n_envs, *width), np.float32 if width else np.int64)
    reward, scaled_reward = np.zeros((steps, n_envs), np.float32), np.zeros((steps, n_envs), np.float32)
    terminated, truncated = np.zeros((steps, n_envs), bool), np.zeros((steps, n_envs), bool)
    episode = np.zeros((steps, n_envs), np.int64)
    finished: list[Episode] = []
    cut_off: list[tuple[int, int]] = []
    final_observation: list[NDArray[Any]] = []
    noise = agent.draw_noise(rng, steps * n_envs).reshape(steps, n_envs, -1)

    seen = environments.observation
    if not np.isfinite(seen).all():
        raise BadNumberError(f"{environments.environment.name} returned NaN or infinity before step 0")
    for t in range(steps):
        observation[t] = seen
        episode[t] = [running.number for running in environments.episodes]
        action[t] = agent.act(seen, noise[t])
        step = environments.step(action[t])
        reward[t], terminated[t], truncated[t] = step.reward, step.terminated, step.truncated
        scaled_reward[t] = step.scaled_reward
        finished += step.finished
        seen = environments.observation
        finite = np.isfinite(seen).all() and all(np.isfinite(shown).all() for shown in step.final_observation.values())
        if not (finite and np.isfinite(reward[t]).all()):
            raise BadNumberError(f"{environments.environment.name} returned NaN or infinity at step {t}")
        for i, shown in step.final_observation.items():
            if truncated[t, i] and not terminated[t, i]:
                cut_off.append((t, i))
                final_observation.append(shown)

    flat = observation.reshape(steps * n_envs, *observation.shape[2:])
    flat_action = action.reshape(steps * n_envs, *action.shape[2:])
    final_value = np.zeros((steps, n_envs), np.float32)
    if cut_off:
        t_index, env_index = np.array(cut_off).T
        final_value[t_index, env_index] = agent.value(np.stack(final_observation))
    values = agent.value(flat).reshape(steps, n_envs)
    advantage = gae(
        scaled_reward,
        values,
        terminated,
        truncated,
        final_value,
        agent.value(seen),
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
    )
    t_column, env_column = np.indices((steps, n_envs))
    buffer = RolloutBuffer(
        env=env_column.ravel().astype(np.int16),
        t=t_column.ravel().astype(np.int32),
        episode=episode.ravel(),
        observation=flat,
        action=flat_action,
        reward=reward.ravel(),
        terminated=terminated.ravel(),
        truncated=truncated.ravel(),
        value=values.ravel(),
        log_prob=agent.log_prob(flat, flat_action),
        advantage=advantage.ravel(),
        returns=(advantage + values).ravel(),
        kept=np.ones(steps * n_envs, bool),
        critic_kept=np.ones(steps * n_envs, bool),
        repaired=np.zeros(steps * n_envs, bool),
    )
    return buffer, finished

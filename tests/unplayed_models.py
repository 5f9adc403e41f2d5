"""A model of Stable-Baselines3 whose episodes can't be played here, and what its own policy says of records."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.distributions import kl_divergence
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv

from engine.recording import sb3
from engine.store.snapshot import parameters_of

SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "n_epochs": 3, "learning_rate": 3e-3, "seed": 1}


def record_elsewhere(path: Path) -> Any:
    """Three rounds of 64 records; the environments are in other processes, from which no state comes."""
    options: dict[str, Any] = {"vec_env_cls": SubprocVecEnv, "vec_env_kwargs": {"start_method": "fork"}}
    made = PPO("MlpPolicy", make_vec_env("CartPole-v1", 2, seed=0, **options), device="cpu", **SMALL)
    with sb3.Recorder(path) as recorder:
        made.learn(3 * 64, callback=recorder)
    made.env.close()
    return made


def at(model: Any, checkpoint: Any) -> Any:
    """The trainer's own policy with the parameters of a checkpoint."""
    with torch.no_grad():
        for name, values in parameters_of(checkpoint).items():
            dict(model.policy.named_parameters())[name].copy_(torch.as_tensor(values))
    return model.policy.eval()


def said(model: Any, checkpoint: Any, original: Any, buffer: Any) -> dict[str, float]:
    """The numbers on the records of a round by the trainer's own policy."""
    observation, action = torch.as_tensor(buffer.observation), torch.as_tensor(buffer.action)
    with torch.no_grad():
        before = copy(at(model, original).get_distribution(observation))  # the policy has one, which it changes
        policy = at(model, checkpoint)
        log_prob = policy.evaluate_actions(observation, action)[1].numpy()
        kl = kl_divergence(before, policy.get_distribution(observation))
    found = {"return_target": (buffer.advantage * log_prob).mean(), "kl": float(kl.mean())}
    signs = {"log_prob_positive": buffer.advantage > 0, "log_prob_negative": buffer.advantage < 0}
    return found | {name: log_prob[rows].mean() for name, rows in signs.items() if rows.any()}

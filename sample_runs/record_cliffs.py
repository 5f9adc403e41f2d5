"""Record a PPO of Stable-Baselines3 in an environment that the catalogue does not have: python record_cliffs.py FOLDER."""

from __future__ import annotations

import sys

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from engine.recording import sb3

torch.set_num_threads(1)
cliffs = make_vec_env("CliffWalking-v1", n_envs=8, seed=3, env_kwargs={"max_episode_steps": 200})
model = PPO(
    "MlpPolicy",
    VecNormalize(cliffs, norm_obs=False),
    n_steps=256,
    batch_size=256,
    learning_rate=1e-3,
    ent_coef=0.1,
    seed=3,
    device="cpu",
)
with sb3.Recorder(sys.argv[1]) as recorder:
    model.learn(14 * 8 * 256, callback=recorder)

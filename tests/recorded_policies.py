"""Stable-Baselines3 models of many kinds in small worlds, for what records them; policies of somebody's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize
from torch import nn

IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
VECTOR = spaces.Box(-1, 1, (5,), np.float32)
THREE = spaces.Discrete(3)
SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 24, "n_epochs": 3, "seed": 1, "device": "cpu"}


class AnyWorld(gym.Env[Any, Any]):
    """Draws observations and rewards at random; episodes end by chance, at the latest after 30 steps."""

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.observation_space, self.action_space, self.steps = observation_space, action_space, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        reward, ended = float(self.np_random.normal()), bool(self.np_random.random() < 0.05)
        return self.observation_space.sample(), reward, ended, self.steps >= 30, {"luck": reward}


class MaskedWorld(AnyWorld):
    """Forbids the second action at every other step."""

    def action_masks(self) -> np.ndarray:
        return np.array([True, self.steps % 2 == 0, True])


class Smooth(BaseFeaturesExtractor):
    """Layers that draw at random and that keep statistics."""

    def __init__(self, observation_space: gym.Space[Any], features_dim: int = 16) -> None:
        super().__init__(observation_space, features_dim)
        size = int(np.prod(observation_space.shape or ()))
        self.net = nn.Sequential(
            nn.Linear(size, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, features_dim)
        )

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.net(observations)  # type: ignore[no-any-return]


class Normed(ActorCriticPolicy):
    """A policy with running statistics."""

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        self.norm = nn.BatchNorm1d(5)

    def extract_features(self, obs: Any, features_extractor: Any = None) -> Any:
        return self.norm(super().extract_features(obs, features_extractor))


def world(
    observation: gym.Space[Any], action: gym.Space[Any], n: int = 2, kind: type[AnyWorld] = AnyWorld
) -> DummyVecEnv:
    return DummyVecEnv([lambda: kind(observation, action) for _ in range(n)])


def box(*shape: int) -> spaces.Box:
    return spaces.Box(-1, 1, shape, np.float32)


MODELS: dict[str, Callable[[], Any]] = {
    "schedules and value clip": lambda: PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 4, seed=0),
        learning_rate=lambda left: 1e-3 * left,
        clip_range=lambda left: 0.2 * left,
        clip_range_vf=0.1,
        **SMALL,
    ),
    "target_kl": lambda: PPO("MlpPolicy", world(VECTOR, THREE), target_kl=1e-4, learning_rate=3e-3, **SMALL),
    "rmsprop": lambda: PPO(
        "MlpPolicy",
        "MountainCar-v0",
        policy_kwargs={"activation_fn": nn.ReLU, "net_arch": [48, 48, 48], "optimizer_class": torch.optim.RMSprop},
        **SMALL,
    ),
    "weights and odd sizes": lambda: PPO("MlpPolicy", world(VECTOR, THREE, 3), vf_coef=0.7, ent_coef=0.013, **SMALL),
    "eight actions": lambda: PPO("MlpPolicy", world(VECTOR, box(8)), ent_coef=0.01, **SMALL),
    "two by three actions": lambda: PPO("MlpPolicy", world(VECTOR, box(2, 3)), **SMALL),
    "images": lambda: PPO("CnnPolicy", world(IMAGE, THREE), **SMALL),
    "images apart, stacked": lambda: PPO(
        "CnnPolicy", VecFrameStack(world(IMAGE, THREE), 4), policy_kwargs={"share_features_extractor": False}, **SMALL
    ),
    "parts": lambda: PPO("MultiInputPolicy", world(spaces.Dict({"image": IMAGE, "v": VECTOR}), THREE), **SMALL),
    "gaussian": lambda: PPO("MlpPolicy", "Pendulum-v1", **SMALL),
    "gsde": lambda: PPO("MlpPolicy", "Pendulum-v1", use_sde=True, sde_sample_freq=4, **SMALL),
    "gsde, squashed": lambda: PPO(
        "MlpPolicy", "Pendulum-v1", use_sde=True, policy_kwargs={"squash_output": True}, **SMALL
    ),
    "normalized": lambda: PPO("MlpPolicy", VecNormalize(make_vec_env("Pendulum-v1", 2, seed=0)), **SMALL),
    "normalized parts": lambda: PPO(
        "MultiInputPolicy",
        VecNormalize(world(spaces.Dict({"u": VECTOR, "v": spaces.Discrete(3)}), THREE), norm_obs_keys=["u"]),
        **SMALL,
    ),
    "several discrete": lambda: PPO("MlpPolicy", world(VECTOR, spaces.MultiDiscrete([3, 2])), **SMALL),
    "discrete states": lambda: PPO(
        "MlpPolicy", world(spaces.Discrete(7), THREE), policy_kwargs={"optimizer_class": torch.optim.AdamW}, **SMALL
    ),
    "binary": lambda: PPO("MlpPolicy", world(spaces.MultiBinary(4), spaces.MultiBinary(3)), **SMALL),
    "own extractor": lambda: PPO(
        "MlpPolicy", world(VECTOR, THREE), policy_kwargs={"features_extractor_class": Smooth}, **SMALL
    ),
    "own policy": lambda: PPO(Normed, world(VECTOR, THREE), **SMALL),
    "masked": lambda: MaskablePPO("MlpPolicy", world(VECTOR, THREE, kind=MaskedWorld), **SMALL),
    "masked parts": lambda: MaskablePPO(
        "MultiInputPolicy", world(spaces.Dict({"u": VECTOR, "v": VECTOR}), THREE, kind=MaskedWorld), **SMALL
    ),
    "a2c": lambda: A2C("MlpPolicy", world(VECTOR, THREE), n_steps=16, seed=0, device="cpu"),
    "a2c by adam": lambda: A2C(
        "MlpPolicy",
        world(VECTOR, THREE),
        n_steps=16,
        use_rms_prop=False,
        normalize_advantage=True,
        seed=0,
        device="cpu",
    ),
}
LSTM: dict[str, Any] = {"lstm_hidden_size": 8, "net_arch": [8]}
SHORT = SMALL | {"n_steps": 16, "batch_size": 12}
RECURRENT: dict[str, Callable[[], Any]] = {
    "critic with its own": lambda: RecurrentPPO(
        "MlpLstmPolicy",
        make_vec_env("CartPole-v1", 2, seed=0),
        learning_rate=0.02,
        policy_kwargs=LSTM | {"n_lstm_layers": 2},
        **SHORT,
    ),
    "shared": lambda: RecurrentPPO(
        "MlpLstmPolicy",
        world(VECTOR, box(2)),
        clip_range_vf=0.1,
        policy_kwargs=LSTM | {"shared_lstm": True, "enable_critic_lstm": False},
        **SHORT,
    ),
    "critic without": lambda: RecurrentPPO(
        "MlpLstmPolicy",
        world(spaces.Discrete(5), THREE),
        ent_coef=0.01,
        target_kl=1e-5,
        learning_rate=3e-3,
        policy_kwargs=LSTM | {"enable_critic_lstm": False},
        **SHORT,
    ),
    "parts": lambda: RecurrentPPO(
        "MultiInputLstmPolicy",
        world(spaces.Dict({"u": VECTOR, "v": spaces.Discrete(3)}), THREE),
        policy_kwargs=LSTM,
        **SHORT,
    ),
    "images, all at once": lambda: RecurrentPPO(
        "CnnLstmPolicy", world(IMAGE, spaces.MultiDiscrete([3, 2])), policy_kwargs=LSTM, **SHORT | {"batch_size": 32}
    ),
}
"""RecurrentPPO, two environments of 16 steps a round."""

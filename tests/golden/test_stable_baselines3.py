"""Agreement with Stable-Baselines3: the update, the advantages and the initial networks."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common import policies
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.logger import configure
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn
from worlds import entry, learner

import engine
from engine.config import TrainConfig
from engine.core.gae import gae
from engine.core.objective import make_optimizer
from engine.core.update import as_batch, update
from engine.envs import CATALOGUE, find
from engine.kinds.control.learner import ControlLearner
from engine.kinds.control.networks import restore_policy
from engine.store.snapshot import Snapshot

LAYERS = {
    "actor.0": "mlp_extractor.policy_net.0",
    "actor.2": "mlp_extractor.policy_net.2",
    "actor.4": "action_net",
    "critic.0": "mlp_extractor.value_net.0",
    "critic.2": "mlp_extractor.value_net.2",
    "critic.4": "value_net",
}


def their_name(ours: str) -> str:
    if ours == "log_std.weight":
        return "log_std"
    layer, _, kind = ours.rpartition(".")
    if layer.startswith("trunk."):
        return ours.replace("trunk", "features_extractor.layers")
    return f"{LAYERS[layer]}.{kind}"


class Trunk(BaseFeaturesExtractor):
    """The network for images, written with their means."""

    def __init__(self, space: gym.Space[Any]) -> None:
        super().__init__(space, 64)
        flat = 32 * (space.shape[1] - 4) * (space.shape[2] - 4)  # type: ignore[index]
        parts = (nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(flat, 64))
        self.layers = nn.Sequential(*parts, nn.ReLU())

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return self.layers(observation)


def theirs_for(snapshot: Snapshot, env: gym.Env[Any, Any]) -> PPO:
    """A Stable-Baselines3 trainer at theta(k), with B(k) in its rollout buffer."""
    config = snapshot.config
    policy_settings: dict[str, Any] = {"net_arch": {"pi": list(config.hidden), "vf": list(config.hidden)}}
    image = snapshot.observation_space.encoder == "image"
    if image:
        policy_settings["features_extractor_class"] = Trunk
    if config.optimizer == "sgd":
        policy_settings |= {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": config.momentum}}
    theirs = PPO(
        "MlpPolicy",
        env,
        learning_rate=config.learning_rate,
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        normalize_advantage=config.normalize_advantage,
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        target_kl=config.target_kl,
        policy_kwargs=policy_settings,
        device="cpu",
    )
    theirs.set_logger(configure(None, []))
    parameters = {their_name(k): torch.tensor(v) for k, v in snapshot.parameters.items()}
    shared = {k: v for k, v in parameters.items() if k.startswith("features_extractor")}
    parameters |= {
        f"{head}_{k}": v for head in ("pi", "vf") for k, v in shared.items()
    }  # the same ones under more names
    theirs.policy.load_state_dict(parameters)
    own, buffer = snapshot.buffer, theirs.rollout_buffer
    columns = {
        "observations": own.observation.transpose(0, 3, 1, 2) if image else own.observation,
        "actions": own.action,
        "rewards": own.reward,
        "values": own.value,
        "log_probs": own.log_prob,
        "advantages": own.advantage,
        "returns": own.returns,
    }
    for name, column in columns.items():
        getattr(buffer, name)[:] = column.reshape(getattr(buffer, name).shape)
    buffer.full = True
    return theirs


def largest(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference."""
    return float((ours.detach() - theirs).abs().max())


CASES: dict[str, dict[str, Any]] = {
    "CartPole-v1 default": {},
    "LunarLander-v3 paper-adam": {},
    "LunarLander-v3 default": {"n_steps": 2048, "n_epochs": 10},
    "CartPole-v1 sgd": {"optimizer": "sgd", "learning_rate": 5e-3},
    "LunarLander-v3 sgd": {"optimizer": "sgd", "learning_rate": 5e-3, "momentum": 0.9},
    "FrozenLake-v1 paper": {"seed": 1},
    "CartPole-v1 target_kl": {"target_kl": 1e-4, "ent_coef": 0.01, "n_steps": 500},
    "CartPole-v1 raw": {"normalize_advantage": False, "max_grad_norm": float("inf")},
    "Pendulum-v1 continuous": {},
    "HalfCheetah-v5 default": {},
    "MiniGrid-Empty-8x8-v0 paper": {"n_steps": 256},
    "MiniGrid-Empty-8x8-v0 default": {"n_steps": 256},
}


@pytest.mark.parametrize("path", ["closed_form", "torch"])
@pytest.mark.parametrize("case", CASES)
def test_one_update_is_theirs(case: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, preset = case.split()
    if name.startswith("MiniGrid") and path == "closed_form":
        pytest.skip("no images")
    changed = {"n_steps": 512, "n_epochs": 5, "path": path, **CASES[case]}
    if name in CATALOGUE:
        agent = ControlLearner.begin(
            engine.preset(name, preset if preset in CATALOGUE[name].presets else "v0.1", **changed)
        )
        env = find(name).make()
    else:
        agent, env = learner(entry(name), **changed), entry(name).make()
    snapshot = agent.collect()
    theirs = theirs_for(snapshot, env)
    permutations = iter(snapshot.minibatches)
    monkeypatch.setattr(np.random, "permutation", lambda n: next(permutations))

    theirs.train()
    metrics = agent.update(snapshot)

    trained = theirs.policy.state_dict()
    moved = 0.0
    for ours, parameter in agent.policy.named_parameters():
        difference = largest(parameter, trained[their_name(ours)])
        moved = max(moved, float(np.abs(parameter.detach().numpy() - snapshot.parameters[ours]).max()))
        assert difference <= 1e-6, (ours, difference)
    assert moved > 1e-4
    assert metrics["entropy"] == pytest.approx(-theirs.logger.name_to_value["train/entropy_loss"], rel=1e-4)
    if snapshot.config.target_kl:
        planned = snapshot.config.n_epochs * -(-len(snapshot.buffer) // snapshot.config.batch_size)
        assert metrics["steps"] < planned, "target_kl must have stopped the update for this case to test it"


@pytest.mark.parametrize("path", ["closed_form", "torch"])
def test_a_second_update_continues_their_adam(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = ControlLearner.begin(engine.preset("CartPole-v1", "default", n_steps=256, n_epochs=2, path=path))
    first = agent.collect()
    theirs = theirs_for(first, find("CartPole-v1").make())
    permutations = iter([*first.minibatches, *first.minibatches])
    monkeypatch.setattr(np.random, "permutation", lambda n: next(permutations))
    agent.update(first)
    agent.update(first)
    theirs.train()
    theirs.train()
    trained = theirs.policy.state_dict()
    for ours, parameter in agent.policy.named_parameters():
        assert largest(parameter, trained[their_name(ours)]) <= 1e-6, ours


@pytest.mark.parametrize("seed", range(4))
def test_advantages_are_theirs_with_truncations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps, n_envs, gamma, gae_lambda = 60, 3, 0.97, 0.9
    reward = rng.normal(size=(steps, n_envs)).astype(np.float32)
    value = rng.normal(size=(steps, n_envs)).astype(np.float32)
    final_value = rng.normal(size=(steps, n_envs)).astype(np.float32)
    last_value = rng.normal(size=n_envs).astype(np.float32)
    terminated = rng.random((steps, n_envs)) < 0.08
    truncated = (rng.random((steps, n_envs)) < 0.08) & ~terminated
    if seed == 0:
        terminated[-1, 0], truncated[-1, 1] = True, True
        truncated[-1, 0] = terminated[-1, 1] = False
    done = terminated | truncated

    space = gym.spaces.Box(-1, 1, (1,))
    theirs = RolloutBuffer(steps, space, space, "cpu", gae_lambda, gamma, n_envs)
    theirs.rewards = reward + gamma * final_value * truncated
    theirs.values = value
    theirs.episode_starts[0] = 1
    theirs.episode_starts[1:] = done[:-1]
    theirs.compute_returns_and_advantage(torch.as_tensor(last_value), done[-1])

    shown = np.where(truncated, final_value, np.nan).astype(np.float32)
    ours = gae(reward, value, terminated, truncated, shown, last_value, gamma=gamma, gae_lambda=gae_lambda)
    np.testing.assert_allclose(ours, theirs.advantages, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours + value, theirs.returns, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["CartPole-v1", "FrozenLake-v1", "LunarLander-v3", "Pendulum-v1"])
def test_initial_networks_follow_their_scheme(name: str) -> None:
    environment = find(name) if name in CATALOGUE else entry(name)
    ours = learner(environment, seed=5).policy
    theirs = PPO("MlpPolicy", environment.make(), device="cpu").policy.state_dict()
    gains = {"actor.0": math.sqrt(2), "actor.2": math.sqrt(2), "actor.4": 0.01}
    gains |= {"critic.0": math.sqrt(2), "critic.2": math.sqrt(2), "critic.4": 1.0}
    found = dict(ours.named_parameters())
    assert sorted(their_name(name) for name in found) == sorted(theirs)
    for layer, gain in gains.items():
        for weight in (found[f"{layer}.weight"].detach(), theirs[their_name(f"{layer}.weight")]):
            rows, columns = weight.shape
            product = weight @ weight.T if rows <= columns else weight.T @ weight
            torch.testing.assert_close(product, gain**2 * torch.eye(min(rows, columns)), rtol=0, atol=1e-5 * gain**2)
        assert found[f"{layer}.weight"].shape == theirs[their_name(f"{layer}.weight")].shape
        assert not found[f"{layer}.bias"].any()
    if "log_std.weight" in found:
        assert not found["log_std.weight"].any()


def test_the_seed_decides_the_networks() -> None:
    same = [learner(find("CartPole-v1"), seed=5).policy.state_dict() for _ in range(2)]
    other = learner(find("CartPole-v1"), seed=6).policy.state_dict()
    assert all(torch.equal(same[0][name], same[1][name]) for name in other)
    assert not torch.equal(same[0]["actor.0.weight"], other["actor.0.weight"])


@pytest.mark.parametrize(("optimizer", "kind"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)])
def test_optimizer_settings(optimizer: Any, kind: type[torch.optim.Optimizer]) -> None:
    config = TrainConfig(env_id="CartPole-v1", optimizer=optimizer, learning_rate=0.02, momentum=0.5)
    made = make_optimizer(nn.Linear(2, 2), config)
    (group,) = made.param_groups
    assert type(made) is kind
    assert group["lr"] == 0.02
    assert group["eps"] == 1e-5 if optimizer == "adam" else group["momentum"] == 0.5


def test_float64_update_is_theirs_to_the_last_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64 rounding no longer hides a small difference in meaning."""
    agent = ControlLearner.begin(engine.preset("LunarLander-v3", "v0.1", n_steps=256, n_epochs=3))
    snapshot = agent.collect()
    theirs = theirs_for(snapshot, find("LunarLander-v3").make())
    theirs.policy.double()
    monkeypatch.setattr(policies, "preprocess_obs", lambda observation, *_, **__: observation.double())
    for name in ("advantages", "returns", "log_probs", "values"):
        setattr(theirs.rollout_buffer, name, getattr(theirs.rollout_buffer, name).astype(np.float64))
    permutations = iter(snapshot.minibatches)
    monkeypatch.setattr(np.random, "permutation", lambda n: next(permutations))
    theirs.train()

    spaces = snapshot.observation_space, snapshot.action_space
    policy = restore_policy(snapshot.config, *spaces, snapshot.checkpoint).double()
    batch = as_batch(policy, snapshot.buffer)
    update(policy, make_optimizer(policy, snapshot.config), batch, snapshot.minibatches, snapshot.config)
    trained = theirs.policy.state_dict()
    for ours, parameter in policy.named_parameters():
        assert largest(parameter, trained[their_name(ours)]) <= 1e-12, ours

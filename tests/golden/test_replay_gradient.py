"""`replay_gradient` is the derivative of the replayed f(theta(k+1)) in each record's weight: central differences say so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from worlds import entry, moved_snapshot

from engine.attribution.derivatives import TorchDerivatives
from engine.attribution.path import Credits, back_propagate, replay_gradient
from engine.attribution.steps import trace_update
from engine.attribution.targets import Target, action_target, return_target
from engine.envs import find
from engine.learning.agents import TorchAgent
from engine.learning.checkpoint import restore_policy
from engine.learning.ppo import as_batch, make_optimizer, update
from engine.store.snapshot import Snapshot

INFINITE = float("inf")
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "adam, clipped": ("LunarLander-v3", {"learning_rate": 1e-3, "max_grad_norm": 0.3}),
    "adam, not clipped, entropy": ("CartPole-v1", {"max_grad_norm": INFINITE, "ent_coef": 0.02}),
    "adam, gaussian": ("FollowWorld-v0", {"learning_rate": 1e-3, "ent_coef": 0.01}),
    "adam, images on a trunk, clipped now and then": ("MiniGrid-Empty-8x8-v0", {"learning_rate": 1e-3}),
    "sgd, clipped": ("CartPole-v1", {"optimizer": "sgd", "learning_rate": 3e-2}),
    "sgd, momentum, clipped": ("LunarLander-v3", {"optimizer": "sgd", "learning_rate": 5e-3, "momentum": 0.9}),
    "sgd, not clipped, raw advantages": (
        "FrozenLake-v1",
        {"optimizer": "sgd", "learning_rate": 3e-2, "max_grad_norm": INFINITE, "normalize_advantage": False},
    ),
    "early stop": ("CartPole-v1", {"learning_rate": 5e-3, "target_kl": 4e-3}),
}


@pytest.fixture(scope="module", params=CASES)
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    name, settings = CASES[request.param]
    environment = entry(name) if name == "FollowWorld-v0" else find(name)
    settings = {"n_steps": 80, "batch_size": 24, "n_epochs": 3, **settings}
    made = moved_snapshot(environment, rounds=2, **settings)
    return made.without(np.arange(5)).without(np.arange(5, 12), actor_only=True)


def double_agent(snapshot: Snapshot) -> TorchAgent:
    """The round's policy and optimizer in float64."""
    config, checkpoint = snapshot.config, snapshot.checkpoint
    policy = restore_policy(config, snapshot.observation_space, snapshot.action_space, checkpoint).double()
    optimizer = make_optimizer(policy, config)
    for name, parameter in policy.named_parameters():
        for key in ("exp_avg", "exp_avg_sq", "momentum_buffer", "step"):
            if (tensor := checkpoint.get(f"optimizer/{key}/{name}")) is not None:
                state = torch.tensor(tensor)
                optimizer.state[parameter][key] = state if key == "step" else state.double()
    return TorchAgent(config, policy, optimizer)


def in_double(snapshot: Snapshot, target: Target) -> Credits:
    agent = double_agent(snapshot)
    derivatives = TorchDerivatives(double_agent(snapshot).policy, snapshot.buffer, snapshot.config)
    return back_propagate(snapshot, trace_update(snapshot, agent), target, derivatives)


def targets(snapshot: Snapshot) -> dict[str, Target]:
    return {"return": return_target(snapshot), "action": action_target(snapshot, record=11)}


@pytest.mark.parametrize("name", ["return", "action"])
def test_derivative_of_the_replayed_target(snapshot: Snapshot, name: str) -> None:
    target, eps = targets(snapshot)[name], 1e-4

    def after(weights: torch.Tensor) -> float:
        agent = double_agent(snapshot)
        batch = as_batch(agent.policy, snapshot.buffer)
        kept = snapshot.buffer.critic_kept
        config = snapshot.config
        update(agent.policy, agent.optimizer, batch, snapshot.minibatches, config, critic_kept=kept, weights=weights)
        return float(target.value(agent.policy).detach())

    exact = in_double(snapshot, target).sum((0, 1))
    order = np.argsort(-np.abs(exact))
    steps = len(trace_update(snapshot).steps)
    assert 2 < steps < 12 if snapshot.config.target_kl else steps == 12
    assert not exact[:5].any(), "records that the update went without"
    for i in order[[0, 1, 3, 7, 15, 30]].tolist():
        step = torch.zeros(len(exact), dtype=torch.float64)
        step[i] = eps
        slope = (after(1 + step) - after(1 - step)) / (2 * eps)
        assert slope == pytest.approx(exact[i], rel=1e-3)


def test_the_recorded_float32_update_says_the_same(snapshot: Snapshot) -> None:
    """The public path, in the precision of the run and on the path that it was trained on."""
    target = return_target(snapshot)
    exact, found = in_double(snapshot, target), replay_gradient(snapshot, target)
    assert np.abs(found - exact).max() <= 1e-2 * np.abs(exact).max()


def test_a_policy_target_feels_the_critic_through_the_gradient_clip() -> None:
    """With networks apart, the value loss moves the policy only by shrinking what clipping leaves of its gradient."""
    settings = {"n_steps": 80, "batch_size": 24, "n_epochs": 3, "optimizer": "sgd", "learning_rate": 3e-2}
    snapshot = moved_snapshot(find("CartPole-v1"), rounds=1, **settings)
    free = replace(snapshot, config=replace(snapshot.config, max_grad_norm=INFINITE))
    clipped, unclipped = (replay_gradient(s, return_target(snapshot))[0, 1] for s in (snapshot, free))
    assert clipped.any()
    assert not unclipped.any()

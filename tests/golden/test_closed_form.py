"""The closed form and the torch path mean the same: whole rounds, single gradients, actions and values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from worlds import entry, learner

import engine
from engine.core.objective import normalize, objective
from engine.core.update import as_batch
from engine.envs import find
from engine.kinds.control.agents import TorchAgent, restore_agent, restore_learner
from engine.kinds.control.closed_form import ClosedFormAgent
from engine.kinds.control.learner import ControlLearner
from engine.store.snapshot import Snapshot

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "categorical, adam": ("LunarLander-v3", {}),
    "categorical, sgd": ("LunarLander-v3", {"optimizer": "sgd", "learning_rate": 5e-3}),
    "categorical, momentum": ("CartPole-v1", {"optimizer": "sgd", "learning_rate": 5e-3, "momentum": 0.9}),
    "one-hot, entropy": ("FrozenLake-v1", {"ent_coef": 0.02}),
    "gaussian, adam": ("Pendulum-v1", {"ent_coef": 0.01}),
    "gaussian, sgd": ("Pendulum-v1", {"optimizer": "sgd", "learning_rate": 1e-3}),
    "early stop": ("CartPole-v1", {"target_kl": 2e-4}),
    "raw, wide, short last minibatch": (
        "Acrobot-v1",
        {"normalize_advantage": False, "max_grad_norm": float("inf"), "hidden": (32, 48, 16), "batch_size": 60},
    ),
}


@pytest.fixture(scope="module", params=CASES)
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    """A second round, so that the optimizer has a state."""
    name, settings = CASES[request.param]
    settings = {"n_steps": 512, "n_epochs": 6, **settings}
    try:
        made = ControlLearner.begin(engine.preset(name, "v0.1", **settings))
    except engine.EngineError:
        made = learner(entry(name), **settings)
    made.update(made.collect())
    return made.collect()


def both(snapshot: Snapshot) -> tuple[ClosedFormAgent, TorchAgent]:
    """The same agent on both paths."""
    agents = []
    for path in ("closed_form", "torch"):
        config = replace(snapshot.config, path=path)
        agents.append(restore_agent(config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint))
    closed_form, through_torch = agents
    assert isinstance(closed_form, ClosedFormAgent)
    assert isinstance(through_torch, TorchAgent)
    return closed_form, through_torch


@pytest.mark.parametrize("removed", ["nothing", "a third", "a third from the actor", "weighted"])
def test_a_whole_round(snapshot: Snapshot, removed: str) -> None:
    n = len(snapshot.buffer)
    if removed == "a third":
        snapshot = snapshot.without(np.arange(0, n, 3))
    if removed == "a third from the actor":
        whole_minibatch = snapshot.minibatches[0, : snapshot.config.batch_size]
        snapshot = snapshot.without(np.union1d(np.arange(0, n, 3), whole_minibatch), actor_only=True)
    weights = np.linspace(0, 2, n, dtype=np.float32) if removed == "weighted" else None
    closed_form, through_torch = both(snapshot)
    found = closed_form.update(snapshot.buffer, snapshot.minibatches, weights=weights)
    expected = through_torch.update(snapshot.buffer, snapshot.minibatches, weights=weights)
    for name, value in vars(expected).items():
        assert getattr(found, name) == pytest.approx(value, rel=2e-3, abs=2e-6), name
    ours, theirs = closed_form.tensors(), through_torch.tensors()
    assert ours.keys() == theirs.keys()
    moved = 0.0
    for name, tensor in theirs.items():
        assert ours[name].shape == tensor.shape
        assert ours[name].dtype == tensor.dtype
        tolerance = 1e-5 * max(1.0, float(np.abs(tensor).max()))
        np.testing.assert_allclose(ours[name], tensor, rtol=0, atol=tolerance, err_msg=name)
        if name.startswith("parameter/"):
            moved = max(moved, float(np.abs(tensor - snapshot.checkpoint[name]).max()))
    assert moved > 1e-4


def test_one_gradient(snapshot: Snapshot) -> None:
    """The gradient of one minibatch's mean objective, against autograd in double precision."""
    config = replace(snapshot.config, optimizer="sgd", momentum=0.0, max_grad_norm=float("inf"), target_kl=None)
    spaces = snapshot.observation_space, snapshot.action_space
    policy, _ = restore_learner(config, *spaces, snapshot.checkpoint)
    policy.double()
    rows = torch.as_tensor(snapshot.minibatches[0, : config.batch_size], dtype=torch.int64)
    batch = as_batch(policy, snapshot.buffer).take(rows)
    if config.normalize_advantage:
        batch = batch._replace(advantage=normalize(batch.advantage))
    objective(policy(batch.inputs, batch.action), batch, config).total().mean().neg().backward()
    tensors = {k: v for k, v in snapshot.checkpoint.items() if k.startswith("parameter/")}
    closed_form = ClosedFormAgent(config, *spaces, tensors)
    closed_form.update(snapshot.buffer, snapshot.minibatches[:1, : config.batch_size])
    expected = torch.cat([p.grad.ravel() for p in policy.parameters() if p.grad is not None]).numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(closed_form.gradient, expected, atol=1e-6 * scale)
    assert np.abs(expected).max() > 1e-3


def test_actions_values_and_probabilities(snapshot: Snapshot) -> None:
    closed_form, through_torch = both(snapshot)
    buffer = snapshot.buffer
    noise = closed_form.draw_noise(np.random.default_rng(0), len(buffer))
    assert np.array_equal(noise, through_torch.draw_noise(np.random.default_rng(0), len(buffer)))
    found, expected = (agent.act(buffer.observation, noise) for agent in (closed_form, through_torch))
    if found.dtype.kind == "i":
        assert (found == expected).mean() > 0.995, "only draws on the very edge may fall the other way"
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        closed_form.value(buffer.observation), through_torch.value(buffer.observation), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        closed_form.log_prob(buffer.observation, buffer.action),
        through_torch.log_prob(buffer.observation, buffer.action),
        rtol=1e-4,
        atol=1e-5,
    )


def test_both_paths_begin_alike() -> None:
    agents = [learner(find("CartPole-v1"), seed=4, path=path).agent.tensors() for path in ("closed_form", "torch")]
    for name, tensor in agents[0].items():
        assert np.array_equal(tensor, agents[1][name])

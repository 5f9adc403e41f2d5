"""`replay_gradient` is the derivative of the replayed f(theta(k+1)) in each record's weight: central differences say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from worlds import entry, moved_snapshot

from engine.core.estimators.along_the_update import Credits, back_propagate, replay_gradient
from engine.core.gradients.derivatives import TorchDerivatives
from engine.core.gradients.layers import layer_of, layers_of
from engine.core.objective import RecordObjective, make_optimizer, objective, weighted_mean, with_normalized_advantages
from engine.core.replays.update_trace import trace_update
from engine.core.targets.functions import Target
from engine.core.targets.of_records import action_target, return_target
from engine.core.update import as_batch, update
from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.agents import TorchAgent
from engine.kinds.control.networks import restore_policy
from engine.kinds.control.snapshot import ControlSnapshot
from engine.store.snapshot import Snapshot

INFINITE, EPS = float("inf"), 1e-4
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


def in_double_precision(snapshot: ControlSnapshot) -> TorchDerivatives:
    policy = double_agent(snapshot).policy
    return TorchDerivatives(policy, as_batch(policy, snapshot.buffer), RecordObjective(snapshot.config))


def in_double(snapshot: Snapshot, target: Target) -> Credits:
    agent = double_agent(snapshot)
    derivatives = in_double_precision(snapshot)
    return back_propagate(snapshot, trace_update(snapshot, agent), target, derivatives)


def targets(snapshot: Snapshot) -> dict[str, Target]:
    return {"return": return_target(snapshot), "action": action_target(snapshot, record=11)}


def after(snapshot: Snapshot, target: Target, weights: torch.Tensor) -> float:
    """f after the update with these weights of the records, (n,) or (3, n)."""
    agent = double_agent(snapshot)
    batch, kept = as_batch(agent.policy, snapshot.buffer), snapshot.buffer.critic_kept
    update(
        agent.policy,
        agent.optimizer,
        batch,
        snapshot.minibatches,
        snapshot.config,
        critic_kept=kept,
        weights=weights,
    )
    return float(target.value(agent.policy).detach())


def slope(value: Callable[[torch.Tensor], float], shape: tuple[int, ...], where: tuple[int, ...]) -> float:
    """Central difference of f in one weight."""
    step = torch.zeros(shape, dtype=torch.float64)
    step[where] = EPS
    return (value(1 + step) - value(1 - step)) / (2 * EPS)


@pytest.mark.parametrize("name", ["return", "action"])
def test_derivative_of_the_replayed_target(snapshot: Snapshot, name: str) -> None:
    target = targets(snapshot)[name]
    exact = in_double(snapshot, target).sum((0, 1))
    order = np.argsort(-np.abs(exact))
    steps = len(trace_update(snapshot).steps)
    assert 2 < steps < 12 if snapshot.config.target_kl else steps == 12
    assert not exact[:5].any(), "records that the update went without"
    for i in order[[0, 1, 3, 7, 15, 30]].tolist():
        found = slope(lambda weights: after(snapshot, target, weights), exact.shape, (i,))
        assert found == pytest.approx(exact[i], rel=1e-3)


def test_each_term_is_the_derivative_in_its_own_weight(snapshot: Snapshot) -> None:
    target = return_target(snapshot)
    exact = in_double(snapshot, target).sum(0)
    largest = np.abs(exact).max()
    for term, part in enumerate(exact):
        for i in np.argsort(-np.abs(part))[[0, 2, 9]].tolist():
            found = slope(lambda weights: after(snapshot, target, weights), exact.shape, (term, i))
            assert found == pytest.approx(part[i], rel=1e-3, abs=1e-7 * largest)


def test_each_layer_is_the_derivative_where_it_alone_feels_the_weights(snapshot: Snapshot) -> None:
    target = return_target(snapshot)
    agent = double_agent(snapshot)
    layers = layers_of(agent.policy)
    derivatives = in_double_precision(snapshot)
    trace = trace_update(snapshot, agent)
    exact = back_propagate(snapshot, trace, target, derivatives, layers=list(layers.values())).sum(1)
    largest = np.abs(exact).max()
    for (name, _), part in zip(layers.items(), exact, strict=True):
        i = int(np.abs(part).argmax())
        found = slope(partial(after_weighing_one_layer, snapshot, target, len(trace.steps), name), part.shape, (i,))
        assert found == pytest.approx(part[i], rel=1e-3, abs=1e-7 * largest), name


def after_weighing_one_layer(
    snapshot: Snapshot, target: Target, steps: int, layer: str, weights: torch.Tensor
) -> float:
    """f after an update in which the weights count in one layer's gradient, and in no other's."""
    config, agent = snapshot.config, double_agent(snapshot)
    policy = agent.policy
    batch, kept = as_batch(policy, snapshot.buffer), snapshot.buffer.critic_kept
    parameters = dict(policy.named_parameters())

    def gradients(records: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
        part = batch.take(records)
        if config.normalize_advantage:
            part = with_normalized_advantages(part, weight)
        terms = objective(policy(part.inputs, part.action), part, config)
        mean = weighted_mean(terms, part.kept, weight.expand(3, -1))
        return torch.autograd.grad(-mean, [*parameters.values()], allow_unused=True, materialize_grads=True)

    minibatches = [part for order in snapshot.minibatches for part in np.split(order, range(24, len(order), 24))]
    for minibatch in minibatches[:steps]:
        records = torch.as_tensor(minibatch[kept[minibatch]], dtype=torch.int64)
        plain, weighed = gradients(records, torch.ones_like(weights)[records]), gradients(records, weights[records])
        for (name, parameter), without, with_weights in zip(parameters.items(), plain, weighed, strict=True):
            parameter.grad = with_weights if layer_of(name) == layer else without
        torch.nn.utils.clip_grad_norm_(parameters.values(), config.max_grad_norm)
        agent.optimizer.step()
    return float(target.value(policy).detach())


def test_a_record_that_is_alone_in_its_minibatch_weighs_nothing_there() -> None:
    """Its mean is its own, and its advantage is not normalised, whatever its weight."""
    settings = {"n_steps": 73, "batch_size": 24, "n_epochs": 2, "learning_rate": 1e-3}
    snapshot = moved_snapshot(find("CartPole-v1"), rounds=2, **settings)
    target, lone = return_target(snapshot), int(snapshot.minibatches[0, -1])
    exact = in_double(snapshot, target).sum((0, 1))
    found = slope(lambda weights: after(snapshot, target, weights), exact.shape, (lone,))
    assert found == pytest.approx(exact[lone], rel=1e-3)
    alone = replace(snapshot, config=replace(snapshot.config, batch_size=1))
    with pytest.raises(BadInputError, match="with batch_size 1 a record is a minibatch of its own"):
        replay_gradient(alone, target)


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

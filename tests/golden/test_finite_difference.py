"""Influence is the derivative of what one update does to the target, in each record's weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from worlds import double, moved_snapshot

import engine
from engine.core.gradients.inner_products import gradient, inner_products
from engine.core.objective import normalize, objective
from engine.core.targets.functions import Target
from engine.core.targets.of_records import action_target, return_target
from engine.envs import find
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.store.snapshot import Snapshot

N = 80


@pytest.fixture(scope="module", params=["LunarLander-v3", "CartPole-v1", "Pendulum-v1", "MiniGrid-Empty-8x8-v0"])
def base(request: pytest.FixtureRequest) -> Snapshot:
    return moved_snapshot(find(request.param), rounds=2, n_steps=N, learning_rate=3e-3, ent_coef=0.01, n_epochs=4)


def one_sgd_step(snapshot: Snapshot, learning_rate: float, normalized: bool) -> Snapshot:
    """The same records in a round whose update is a single plain gradient step."""
    config = replace(
        snapshot.config,
        optimizer="sgd",
        learning_rate=learning_rate,
        batch_size=N,
        n_epochs=1,
        max_grad_norm=float("inf"),
        normalize_advantage=normalized,
    )
    theta = {name: tensor for name, tensor in snapshot.checkpoint.items() if name.startswith("parameter/")}
    return replace(snapshot, config=config, checkpoint=theta, minibatches=snapshot.minibatches[:1])


def restored(snapshot: Snapshot) -> ActorCritic:
    return restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)


def targets(snapshot: Snapshot) -> dict[str, Target]:
    return {"return": return_target(snapshot), "action": action_target(snapshot, record=11)}


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("name", ["return", "action"])
def test_derivative_of_one_step_in_float64(base: Snapshot, normalized: bool, name: str) -> None:
    """Where w_i multiplies J_i: d f(theta(k+1)) / d w_i = lr / n * <grad f(theta(k+1)), grad J_i(theta(k))>, exactly."""
    learning_rate, eps = 1e-3, 1e-2
    snapshot = one_sgd_step(base, learning_rate, normalized)
    target = targets(snapshot)[name]
    policy, batch = double(restored(snapshot), snapshot)
    if normalized:
        batch = batch._replace(advantage=normalize(batch.advantage))

    def after(weights: torch.Tensor) -> ActorCritic:
        moved, _ = double(restored(snapshot), snapshot)
        terms = objective(moved(batch.inputs, batch.action), batch, snapshot.config)
        parameters = list(moved.parameters())
        gradients = torch.autograd.grad((weights * terms.total()).sum() / N, parameters)
        with torch.no_grad():
            for parameter, g in zip(parameters, gradients, strict=True):
                parameter.add_(learning_rate * g)
        return moved

    direction = gradient(target, after(torch.ones(N, dtype=torch.float64)))
    exact = (learning_rate / N * inner_products(policy, batch, snapshot.config, direction)).numpy()
    chosen = np.argsort(-np.abs(exact))[[0, 1, 2, 5, 10, 20, 40]]
    for i in chosen.tolist():
        step = torch.zeros(N, dtype=torch.float64)
        step[i] = eps
        more, less = (float(target.value(after(1 + sign * step)).detach()) for sign in (1, -1))
        assert (more - less) / (2 * eps) == pytest.approx(exact[i], rel=1e-5)


@pytest.mark.parametrize("name", ["return", "action"])
def test_first_order_predicts_a_small_replayed_step(base: Snapshot, name: str) -> None:
    """The public path, in float32: a step goes along the weighted mean of what the records push, so influence says where."""
    learning_rate = 3e-5
    snapshot = one_sgd_step(base, learning_rate, normalized=False)
    target = targets(snapshot)[name]
    influence = engine.influence(snapshot, target, cache=False).influence.astype(np.float64)

    def value(weights: np.ndarray) -> float:
        return float(target.value(engine.replay(snapshot, weights=weights).policy.double()).detach())

    strongest = np.argsort(-np.abs(influence))[:12]
    assert len(strongest) == 12
    for group in (strongest[influence[strongest] > 0], strongest[influence[strongest] < 0]):
        if not len(group):
            continue
        more, less = np.ones(N), np.ones(N)
        more[group], less[group] = 2, 0
        predicted = learning_rate * (np.average(influence, weights=more) - np.average(influence, weights=less))
        assert value(more) - value(less) == pytest.approx(predicted, rel=0.05)


def test_dropping_a_record_lowers_the_target_if_its_influence_was_positive(base: Snapshot) -> None:
    """The sign as a user meets it: without the records that helped, the target ends lower, and the other way round."""
    snapshot = one_sgd_step(base, 3e-4, normalized=True)
    target = return_target(snapshot)
    influence = engine.influence(snapshot, target, cache=False).influence
    order = np.argsort(influence)

    def value(drop: np.ndarray) -> float:
        return float(target.value(engine.replay(snapshot, drop).policy.double()).detach())

    everything = value(np.zeros(0, np.int64))
    helped, hurt = order[influence[order] > 0][-8:], order[influence[order] < 0][:8]
    assert len(helped) == 8
    assert value(helped) < everything
    if len(hurt):
        assert value(hurt) > everything

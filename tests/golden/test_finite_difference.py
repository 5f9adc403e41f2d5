"""Influence is the derivative of what one update does to the target, in each record's weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from worlds import double, moved_snapshot

import engine
from engine.attribution.backends import gradient, inner_products
from engine.attribution.targets import Target, action_target, return_target
from engine.envs import find
from engine.learning.checkpoint import restore_policy
from engine.learning.networks import ActorCritic
from engine.learning.ppo import make_optimizer, normalize, update
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
    """d f(theta(k+1)) / d w_i = lr / n * <grad f(theta(k+1)), grad J_i(theta(k))>: exact, for every step size."""
    learning_rate, eps = 1e-3, 1e-2
    snapshot = one_sgd_step(base, learning_rate, normalized)
    target = targets(snapshot)[name]

    def after(weights: torch.Tensor) -> ActorCritic:
        policy, batch = double(restored(snapshot), snapshot)
        optimizer = make_optimizer(policy, snapshot.config)
        update(policy, optimizer, batch, snapshot.minibatches, snapshot.config, weights=weights)
        return policy

    policy, batch = double(restored(snapshot), snapshot)
    if normalized:
        batch = batch._replace(advantage=normalize(batch.advantage))
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
    """The public path, in float32: influence times lr / n is what re-weighting a record does, for a small step."""
    learning_rate = 3e-4
    snapshot = one_sgd_step(base, learning_rate, normalized=True)
    target = targets(snapshot)[name]
    influence = engine.influence(snapshot, target, cache=False).influence

    def value(weights: np.ndarray) -> float:
        return float(target.value(engine.replay(snapshot, weights=weights).policy.double()).detach())

    strongest = np.argsort(-np.abs(influence))[:12]
    weights = np.ones(N)
    for group in (strongest[influence[strongest] > 0], strongest[influence[strongest] < 0]):
        more, less = weights.copy(), weights.copy()
        more[group], less[group] = 2, 0
        predicted = learning_rate / N * influence[group].sum()
        assert len(group) == 0 or value(more) - value(less) == pytest.approx(2 * predicted, rel=0.05)
    assert len(strongest) == 12


def test_dropping_a_record_lowers_the_target_if_its_influence_was_positive(base: Snapshot) -> None:
    """The sign as a user meets it: without the records that helped, the target ends lower, and the other way round."""
    snapshot = one_sgd_step(base, 3e-4, normalized=True)
    target = return_target(snapshot)
    influence = engine.influence(snapshot, target, cache=False).influence
    order = np.argsort(influence)

    def value(drop: np.ndarray) -> float:
        weights = np.ones(N)
        weights[drop] = 0
        return float(target.value(engine.replay(snapshot, weights=weights).policy.double()).detach())

    everything = value(np.zeros(0, np.int64))
    helped, hurt = order[influence[order] > 0][-8:], order[influence[order] < 0][:8]
    assert len(helped) == 8
    assert value(helped) < everything
    if len(hurt):
        assert value(hurt) > everything

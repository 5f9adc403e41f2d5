"""The closed form's derivatives along an update are those of the torch path; both are those of the backends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from worlds import entry, moved_snapshot, off_policy

from engine.core.gradients.derivatives import Derivatives, TorchDerivatives
from engine.core.gradients.inner_products import inner_products
from engine.core.gradients.steps import Vector
from engine.core.objective import with_normalized_advantages
from engine.core.policy import Policy
from engine.core.replays.update_trace import flat
from engine.core.targets.functions import Target
from engine.core.targets.of_records import ActionTarget, action_target, return_target
from engine.core.update import as_batch
from engine.envs import find
from engine.kinds.control.closed_form_derivatives import ClosedFormDerivatives
from engine.kinds.control.kind import KIND
from engine.kinds.control.networks import ActorCritic, restore_policy
from engine.store.snapshot import Snapshot

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "categorical": ("LunarLander-v3", {}),
    "one-hot, three layers": ("FrozenLake-v1", {"ent_coef": 0.05, "hidden": (16, 8, 12)}),
    "gaussian": ("FollowWorld-v0", {"ent_coef": 0.05}),
    "raw advantages": ("Pendulum-v1", {"normalize_advantage": False, "hidden": (32,)}),
}


@pytest.fixture(scope="module", params=CASES)
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    """Ratios on both sides of the clip range, and records that only the critic trains on."""
    name, settings = CASES[request.param]
    environment = entry(name) if name == "FollowWorld-v0" else find(name)
    made = moved_snapshot(environment, rounds=2, **{"n_steps": 96, "learning_rate": 3e-3, "n_epochs": 4, **settings})
    return off_policy(made).without(np.arange(0, 30, 3), actor_only=True)


def both(snapshot: Snapshot) -> tuple[Derivatives, Derivatives, Vector]:
    closed_form = KIND.derivatives(snapshot)
    by_torch = KIND.derivatives(replace(snapshot, config=replace(snapshot.config, path="torch")))
    assert isinstance(closed_form, ClosedFormDerivatives)
    assert isinstance(by_torch, TorchDerivatives)
    return closed_form, by_torch, flat(snapshot.checkpoint, "parameter", list(snapshot.parameters))


def targets(snapshot: Snapshot) -> list[Target]:
    chosen = [3, 40, 41]
    several = ActionTarget(snapshot.buffer.observation[chosen], snapshot.buffer.action[chosen])
    return [return_target(snapshot), action_target(snapshot, record=5), several]


def close(found: np.ndarray, expected: np.ndarray) -> None:
    scale = np.abs(expected).max()
    assert scale > 0
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * scale


def test_gradients_of_targets(snapshot: Snapshot) -> None:
    closed_form, by_torch, theta = both(snapshot)
    for target in targets(snapshot):
        close(closed_form.target_gradient(theta, target), by_torch.target_gradient(theta, target))


@pytest.mark.parametrize("which", ["return", "everything", "critic"])
def test_inner_products_by_term(snapshot: Snapshot, which: str) -> None:
    closed_form, by_torch, theta = both(snapshot)
    direction = by_torch.target_gradient(theta, return_target(snapshot))
    if which != "return":
        random = np.random.default_rng(0).standard_normal(len(theta)).astype(np.float32)
        direction = random * (direction == 0) if which == "critic" else random
    records = np.random.default_rng(1).permutation(96)[:40].astype(np.int32)
    found, expected = (way.credit(theta, records, direction).terms for way in (closed_form, by_torch))
    assert found.shape == (3, 40)
    for term in range(3):
        if expected[term].any():
            close(found[term], expected[term])
        else:
            assert not found[term].any()
    dropped = ~snapshot.buffer.kept[records]
    assert dropped.any()
    assert not found[[0, 2]][:, dropped].any(), "the actor went without these"
    assert expected[0].any() == (which != "critic")
    assert expected[1].any() == (which != "return")


def test_terms_add_up_to_the_backends_products(snapshot: Snapshot) -> None:
    """With every record kept, n times the sum of the terms is <direction, grad J_i>."""
    snapshot = replace(snapshot, buffer=replace(snapshot.buffer, kept=np.ones(96, bool)))
    closed_form, _, theta = both(snapshot)
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    batch = as_batch(policy, snapshot.buffer)
    if snapshot.config.normalize_advantage:
        batch = with_normalized_advantages(batch)
    vector = np.random.default_rng(0).standard_normal(len(theta)).astype(np.float32)
    parts = torch.as_tensor(vector).split([p.numel() for p in policy.parameters()])
    direction = {name: part.view_as(p) for (name, p), part in zip(policy.named_parameters(), parts, strict=True)}
    expected = inner_products(policy, batch, snapshot.config, direction, "jvp").numpy()
    close(96 * closed_form.credit(theta, np.arange(96, dtype=np.int32), vector).terms.sum(0), expected)


class _Entropy:
    """A target that is no weighted sum of log-probabilities."""

    name = "entropy"

    def __init__(self, observation: np.ndarray, action: np.ndarray) -> None:
        self.observation, self.action = observation, action

    def describe(self) -> dict[str, Any]:
        return {"target": self.name}

    def value(self, policy: Policy) -> torch.Tensor:
        assert isinstance(policy, ActorCritic)
        return policy(policy.encode(self.observation), torch.as_tensor(self.action)).entropy.mean()


def test_any_other_target_works_as_well(snapshot: Snapshot) -> None:
    closed_form, by_torch, theta = both(snapshot)
    target = _Entropy(snapshot.buffer.observation, snapshot.buffer.action)
    close(closed_form.target_gradient(theta, target), by_torch.target_gradient(theta, target))

"""What the policy makes of states, and maps of points whose principal components are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from worlds import entry, moved_snapshot

from engine.analysis.embedding import policy_features, principal_components
from engine.kinds.control.networks import restore_policy
from engine.store.read import Run


def test_points_on_a_line_lie_on_a_line() -> None:
    found = principal_components([[0, 0], [1, 1], [2, 2]], 2)
    np.testing.assert_allclose(found.coordinates, [[-math.sqrt(2), 0], [0, 0], [math.sqrt(2), 0]], atol=1e-12)
    np.testing.assert_allclose(found.share, [1, 0], atol=1e-12)


def test_a_cross_has_its_longer_arm_first() -> None:
    """Variances 8 and 2 along axes turned by 45 degrees."""
    found = principal_components([[2, 2], [-2, -2], [1, -1], [-1, 1]])
    np.testing.assert_allclose(
        np.abs(found.coordinates), math.sqrt(2) * np.array([[2, 0], [2, 0], [0, 1], [0, 1]]), atol=1e-12
    )
    np.testing.assert_allclose(found.share, [0.8, 0.2])


def test_each_direction_points_to_where_its_largest_component_is_positive() -> None:
    """However the decomposition's signs fall, equal points give equal maps."""
    points = np.random.default_rng(3).normal(size=(40, 5)) * [5, 4, 1, 1, 1]
    found = principal_components(points)
    centred = points - points.mean(axis=0)
    for axis in found.coordinates.T:
        direction = centred.T @ axis
        assert direction[np.abs(direction).argmax()] > 0
    np.testing.assert_allclose(found.coordinates, principal_components(points + 7).coordinates, atol=1e-9)
    assert found.share[0] > found.share[1]


def test_points_that_do_not_vary_or_have_one_dimension() -> None:
    same = principal_components(np.ones((4, 3)))
    assert (same.coordinates == 0).all()
    assert np.isnan(same.share).all()
    found = principal_components([[1.0], [2.0], [6.0]])
    np.testing.assert_allclose(found.coordinates, [[-2, 0], [-1, 0], [3, 0]])


def test_the_last_layer_of_the_features_is_the_policy(cartpole: Run) -> None:
    snapshot = cartpole.snapshot(1)
    features = policy_features(snapshot)
    assert features.shape == (140, 64)
    weight, bias = snapshot.parameters["actor.4.weight"], snapshot.parameters["actor.4.bias"]
    logits = features @ weight.T + bias
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    taken = p[np.arange(140), snapshot.buffer.action]
    np.testing.assert_allclose(np.log(taken), snapshot.buffer.log_prob, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_features_of_other_widths(hidden: tuple[int, ...]) -> None:
    snapshot = moved_snapshot(entry("ChainWorld-v0"), n_steps=16, n_epochs=1, batch_size=8, hidden=hidden, path="torch")
    features = policy_features(snapshot)
    policy = restore_policy(snapshot.config, snapshot.observation_space, snapshot.action_space, snapshot.checkpoint)
    assert features.shape == (16, *(hidden or (3,)))
    if not hidden:
        assert np.array_equal(features, policy.encode(snapshot.buffer.observation).numpy())

"""Generalised advantage estimation by hand."""

from __future__ import annotations

import numpy as np

from engine.core.gae import gae


def test_gae_by_hand() -> None:
    """gamma = lambda = 1, V = 0: what remains of the episode. [1, 2, 4 | terminal] -> [7, 6, 4]."""
    reward = np.array([[1], [2], [4]], np.float32)
    zero, no = np.zeros((3, 1), np.float32), np.zeros((3, 1), bool)
    end = np.array([[False], [False], [True]])
    last = np.array([100], np.float32)
    settings = {"gamma": 1.0, "gae_lambda": 1.0}
    assert gae(reward, zero, end, no, zero, last, **settings)[:, 0].tolist() == [7, 6, 4]
    assert gae(reward, zero, no, no, zero, last, **settings)[:, 0].tolist() == [107, 106, 104]
    final = np.array([[0], [0], [10]], np.float32)
    assert gae(reward, zero, no, end, final, last, **settings)[:, 0].tolist() == [17, 16, 14]
    middle = np.array([[False], [True], [False]])
    assert gae(reward, zero, middle, no, zero, last, **settings)[:, 0].tolist() == [3, 2, 104]


def test_gae_of_an_endless_constant_reward() -> None:
    """With a right critic, V = 1 / (1 - gamma), no step is better than expected."""
    gamma = 0.9
    value = np.full((50, 2), 1 / (1 - gamma), np.float32)
    no = np.zeros((50, 2), bool)
    advantage = gae(np.ones((50, 2), np.float32), value, no, no, value, value[0], gamma=gamma, gae_lambda=0.95)
    np.testing.assert_allclose(advantage, 0, atol=1e-5)

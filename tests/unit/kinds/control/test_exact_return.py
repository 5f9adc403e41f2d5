"""Expected returns of tiny finite worlds, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.envs import find
from engine.errors import BadInputError
from engine.kinds.control.exact_return import Transitions, solved, transitions_of


def test_a_step_that_ends_the_episode_counts_and_what_follows_does_not() -> None:
    """Two states: from 0 action 0 goes to 1 for 1, action 1 ends with 5; from 1 both end with 2."""
    onward = np.zeros((2, 2, 2))
    onward[0, 0, 1] = 1
    world = Transitions(np.array([1.0, 0.0]), onward, np.array([[1.0, 5.0], [2.0, 2.0]]), None)
    for p in (0.0, 0.3, 1.0):
        policy = np.array([[p, 1 - p], [0.5, 0.5]])
        assert solved(world, policy) == pytest.approx(p * 3 + (1 - p) * 5)
        assert solved(world._replace(steps=9), policy) == pytest.approx(p * 3 + (1 - p) * 5)
        assert solved(world._replace(steps=1), policy) == pytest.approx(p * 1 + (1 - p) * 5)


def test_the_table_of_frozen_lake() -> None:
    """Not slippery: the shortest way to the goal takes six of its hundred steps."""
    lake = transitions_of(find("FrozenLake-v1"))
    assert (lake.onward.shape, lake.steps, lake.start[0]) == ((16, 4, 16), 100, 1)
    way = np.zeros((16, 4))
    way[[0, 4, 8, 9, 13, 14]] = np.eye(4)[[1, 1, 2, 1, 2, 2]]
    assert solved(lake, way) == solved(lake._replace(steps=6), way) == 1
    assert solved(lake._replace(steps=5), way) == 0
    slippery = solved(transitions_of(find("FrozenLake-v1-slippery")), way)
    assert 0 < slippery < 0.74


def test_an_environment_without_a_table_is_refused() -> None:
    with pytest.raises(BadInputError, match="CartPole-v1 has no table of transitions"):
        transitions_of(find("CartPole-v1"))

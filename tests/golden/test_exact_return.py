"""The expected return that is computed is the mean of episodes that are really played."""

from __future__ import annotations

import numpy as np

import engine
from engine.envs import find
from engine.kinds.control.evaluation import Evaluator
from engine.kinds.control.exact_return import expected_return, transitions_of
from engine.kinds.control.learner import ControlLearner

BLOCKS, EPISODES = 5, 128


def test_it_is_the_mean_of_many_episodes() -> None:
    """On slippery ice, a policy that reaches the goal now and then."""
    learner = ControlLearner.begin(engine.preset(name := "FrozenLake-v1-slippery", n_steps=1024, learning_rate=1e-3))
    for _ in range(5):
        learner.update(learner.collect())
    exact = expected_return(transitions_of(find(name)), learner.agent)
    assert 0.02 < exact < 0.98, "where hardly an episode differs from another this says nothing"
    evaluator = Evaluator(find(name))
    played = [
        evaluator.returns(learner.agent, EPISODES * block + np.arange(EPISODES)).mean() for block in range(BLOCKS)
    ]
    assert abs(np.mean(played) - exact) < 3 * np.sqrt(exact * (1 - exact) / (BLOCKS * EPISODES))

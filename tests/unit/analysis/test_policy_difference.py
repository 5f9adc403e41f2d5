"""Policies compared state by state, against numbers worked out by hand and torch's distributions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from worlds import record

import engine
from engine.analysis.policy_difference import (
    Categorical,
    Gaussian,
    States,
    common_checkpoints,
    comparable,
    difference,
    most_different,
    over_rounds,
    policy_in,
    shared_states,
)
from engine.errors import BadInputError


def test_discrete_policies_by_hand() -> None:
    p = Categorical(np.log([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]))
    q = Categorical(np.log([[0.9, 0.1], [0.9, 0.1], [0.8, 0.2]]))
    found = difference(p, q)
    expected = [0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1), 0, 0.6 * math.log(4)]
    assert found.kl == pytest.approx(expected)
    assert found.distance == pytest.approx([0.4, 0, 0.6])
    assert found.other_action.tolist() == [False, False, True]


def test_continuous_policies_by_hand() -> None:
    found = difference(
        Gaussian(np.array([[0.0], [3.0]]), np.array([1.0])), Gaussian(np.array([[1.0], [0.0]]), np.array([2.0]))
    )
    assert found.kl == pytest.approx([math.log(2) + 2 / 8 - 0.5, math.log(2) + 10 / 8 - 0.5])
    assert found.distance == pytest.approx([1, 3])
    assert found.other_action.tolist() == [False, True]


def test_against_torch() -> None:
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(0, 3, (2, 50, 5)))
    a, b = (torch.distributions.Categorical(logits=one) for one in logits)
    found = difference(Categorical(a.logits.numpy()), Categorical(b.logits.numpy()))
    assert found.kl == pytest.approx(torch.distributions.kl_divergence(a, b).numpy())

    mean, std = rng.normal(0, 1, (2, 50, 3)), rng.uniform(0.2, 3, (2, 3))
    a, b = (torch.distributions.Normal(torch.tensor(mean[i]), torch.tensor(std[i])) for i in range(2))
    found = difference(Gaussian(mean[0], std[0]), Gaussian(mean[1], std[1]))
    assert found.kl == pytest.approx(torch.distributions.kl_divergence(a, b).sum(-1).numpy())


def test_unlike_policies_are_refused() -> None:
    discrete = Categorical(np.log([[0.5, 0.5]]))
    for other in (Gaussian(np.zeros((1, 2)), np.ones(2)), Categorical(np.log([[0.2, 0.3, 0.5]]))):
        with pytest.raises(BadInputError, match="different actions"):
            difference(discrete, other)


def test_each_state_is_ranked_once() -> None:
    states = States(np.arange(5), np.array([7, 2, 7, 2, 3]), "")
    position, count = most_different(states, np.array([0.1, 0.9, 0.1, 0.9, 0.5]), 2)
    assert (position.tolist(), count.tolist()) == ([1, 4], [2, 1])


def test_a_runs_policy_is_the_one_that_acted(cartpole: engine.Run) -> None:
    """log pi of the recorded actions is in the records."""
    snapshot = cartpole.snapshot(2)
    states = shared_states(snapshot)
    found = policy_in(cartpole, 2, states)
    assert isinstance(found, Categorical)
    taken = found.log_prob[np.arange(len(states.record)), snapshot.buffer.action]
    assert taken == pytest.approx(snapshot.buffer.log_prob, abs=1e-5)


def test_over_the_rounds_of_a_run_and_its_branch(cartpole: engine.Run, tmp_path: Path) -> None:
    """Equal until the records are gone, and not after."""
    engine.retrain(cartpole, 1, [3, 5, 8, 9], tmp_path / "branch", orders=2, episodes=2, continue_rounds=1)
    branch = engine.open_run(tmp_path / "branch")
    assert common_checkpoints(cartpole, branch) == [1, 2, 3]
    found = dict(over_rounds(cartpole, branch, shared_states(cartpole.snapshot(2))))
    assert found[1].kl.max() == found[1].distance.max() == 0
    assert found[2].kl.min() > 0
    assert comparable(cartpole, branch) is None


def test_normalised_observations_are_seen_as_each_policy_sees_them(tmp_path: Path) -> None:
    settings = {"rounds": 3, "n_envs": 2, "n_steps": 60, "normalize_observation": True, "normalize_reward": True}
    run = record(tmp_path / "run", "Pendulum-v1", **settings)
    snapshot = run.snapshot(1)
    states = shared_states(snapshot)
    assert states.record.tolist() == list(range(120))
    assert np.hypot(states.shown[:, 0], states.shown[:, 1]) == pytest.approx(np.ones(120), abs=1e-5), "cosine and sine"
    seen = policy_in(run, 1, states)
    other = policy_in(run, 2, states)
    assert isinstance(seen, Gaussian)
    assert isinstance(other, Gaussian)
    # What the policy saw was normalised by the statistics of that step, here by those at the round's end.
    deviation = np.abs((snapshot.buffer.action - seen.mean) / seen.std)
    assert 0.3 < deviation.mean() < 1.3
    assert difference(seen, other).kl.mean() > 0


def test_other_spaces_are_named(cartpole: engine.Run, lander: engine.Run) -> None:
    assert (
        comparable(cartpole, lander)
        == "their observations differ: 4 numbers in CartPole-v1, 8 numbers in LunarLander-v3"
    )

"""Where the returns of two runs differ: constructed returns whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.incidents.apart import apart, decided, returns_of
from engine.analysis.incidents.returns import Returns

EPISODES, STD = 10, 30.0


def learning(seed: int, rounds: int = 40, falls_at: int = 99, back_at: int = 99) -> Returns:
    """Returns that rise from 20 to 200 within 20 rounds, with noise; from a round on they are 20 again, up to another."""
    rng, metrics = np.random.default_rng(seed), []
    for k in range(rounds):
        level = 20.0 if falls_at <= k < back_at else min(20 + 9.0 * k, 200)
        episodes = rng.normal(level, STD, EPISODES)
        metrics.append((k, {"episodes": EPISODES, "mean_return": episodes.mean(), "std_return": episodes.std()}))
    return returns_of(metrics)


@pytest.mark.parametrize("seed", range(12))
def test_runs_that_differ_by_their_noise_alone_never_part(seed: int) -> None:
    assert apart(learning(seed), learning(seed + 100)) == []


@pytest.mark.parametrize("lower", [0, 1])
@pytest.mark.parametrize("falls_at", [18, 30, 38])
def test_where_one_of_them_falls(falls_at: int, lower: int) -> None:
    runs = [learning(1), learning(2, falls_at=falls_at)]
    (found,) = apart(*(runs if lower else runs[::-1]))
    assert abs(found.first - falls_at) <= 1
    assert (found.last, found.lower, found.at_end) == (39, lower, True)
    assert found.means[lower] < 40 < 150 < found.means[1 - lower]


def test_runs_that_come_together_again() -> None:
    (found,) = apart(learning(1), learning(2, falls_at=20, back_at=28))
    assert not found.at_end
    assert abs(found.first - 20) <= 1
    assert 27 <= found.last < 39


def test_runs_of_different_lengths_are_compared_where_both_are() -> None:
    (found,) = apart(learning(1, rounds=35), learning(2, falls_at=25))
    assert (found.at_end, found.lower) == (True, 1)


def test_too_few_episodes() -> None:
    known = [(k, {"episodes": 1, "mean_return": 1.0, "std_return": 0.0}) for k in range(3)]
    assert not decided(returns_of(known), returns_of(known))
    assert not decided(learning(1), returns_of([(0, {"episodes": 0, "mean_return": None, "std_return": None})]))
    assert decided(learning(1), learning(2))

"""Numbers and returns of episodes over rounds, against a walk that takes one step after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recording.episodes import Episodes


class Walk:
    """One environment after the other, one step after the other; the end of an episode is known at once."""

    def __init__(self, n_envs: int) -> None:
        self.number, self.following = list(range(n_envs)), n_envs
        self.rewards: list[list[float]] = [[] for _ in range(n_envs)]

    def step(self, rewards: Any, dones: Any) -> tuple[list[int], list[tuple[float, int]]]:
        """The numbers at a step, and (return, length) of what ended with it."""
        at, ended = list(self.number), []
        for i, (reward, done) in enumerate(zip(rewards, dones, strict=True)):
            self.rewards[i].append(float(reward))
            if done:
                ended.append((sum(self.rewards[i]), len(self.rewards[i])))
                self.rewards[i], self.number[i] = [], self.following
                self.following += 1
        return at, ended


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 6), st.floats(0, 1))
def test_rounds_say_what_a_walk_over_their_steps_says(seed: int, n_envs: int, n_steps: int, often: float) -> None:
    rng, episodes, walk = np.random.default_rng(seed), Episodes(), Walk(n_envs)
    begins = np.ones(n_envs, bool)
    for _ in range(4):
        rewards = rng.normal(size=(n_steps, n_envs)).astype(np.float32)
        dones = rng.random((n_steps, n_envs)) < often
        walked = [walk.step(*each) for each in zip(rewards, dones, strict=True)]
        numbers = episodes.numbers(np.vstack([begins, dones[:-1]]))
        assert numbers.tolist() == [at for at, _ in walked]
        returns, lengths = episodes.passed(numbers, rewards, np.ones_like(dones), dones[-1])
        expected = [each for _, ended in walked for each in ended]
        assert sorted(lengths) == sorted(length for _, length in expected)
        assert sorted(returns) == pytest.approx(sorted(total for total, _ in expected))
        begins = dones[-1]


def test_an_end_that_the_next_round_tells_of_counts_there() -> None:
    episodes, nobody_knows = Episodes(), np.zeros(1, bool)
    first = episodes.numbers(np.array([[True], [False]]))
    assert not len(episodes.passed(first, np.ones((2, 1)), np.ones((2, 1), bool), nobody_knows)[0])
    second = episodes.numbers(np.array([[True], [False]]))
    assert [first.ravel().tolist(), second.ravel().tolist()] == [[0, 0], [1, 1]]
    returns, lengths = episodes.passed(second, np.ones((2, 1)), np.ones((2, 1), bool), nobody_knows)
    assert (returns.tolist(), lengths.tolist()) == ([2.0], [2.0])


def test_phantom_steps_are_no_part_of_an_episodes_length() -> None:
    episodes = Episodes()
    numbers = episodes.numbers(np.array([[True], [False], [True]]))
    counted = np.array([[True], [True], [False]])
    assert [part.tolist() for part in episodes.passed(numbers, np.ones((3, 1)), counted, np.zeros(1, bool))] == [
        [2.0],
        [2.0],
    ]


def test_an_episode_that_was_reset_before_its_end_is_none_that_ended() -> None:
    episodes = Episodes()
    numbers = episodes.numbers(np.array([[True, True]]))
    episodes.passed(numbers, np.ones((1, 2)), np.ones((1, 2), bool), np.zeros(2, bool))
    again = episodes.numbers(np.array([[True, False]]))
    assert again.tolist() == [[2, 1]]
    episodes.left(again[0])
    returns, _ = episodes.passed(again, np.ones((1, 2)), np.ones((1, 2), bool), np.ones(2, bool))
    assert sorted(returns.tolist()) == [1.0, 2.0]

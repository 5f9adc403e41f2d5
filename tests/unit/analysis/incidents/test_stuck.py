"""Rule B: a policy that hardly chooses, whose updates change nothing, and that was better before."""

from __future__ import annotations

import math

from engine.analysis.incidents.returns import Round
from engine.analysis.incidents.stuck import Stuck


def run(returns: list[float | None], entropy: list[float], kl: list[float], episodes: int = 10) -> Stuck:
    stuck = Stuck()
    for k, (mean, each, moved) in enumerate(zip(returns, entropy, kl, strict=True)):
        stuck.see(k, None if mean is None else Round(k, episodes, mean, 1.0), each, moved)
    return stuck


def test_dead_after_two_rounds() -> None:
    """A learning rate that is too high: the fall is too early for windows of episodes."""
    stuck = run([20.0, 9.0, 9.0, 9.0, 9.0], [0.69, 1e-5, 1e-9, 0.0, 0.0], [0.8, 1e-8, 0.0, 0.0, 0.0])
    (only,) = stuck.stretches
    assert (only.first, only.last, only.seen, only.best.number, only.mean) == (1, 4, 3, 0, 9.0)


def test_a_solved_task_is_certain_and_not_stuck() -> None:
    returns: list[float | None] = [0.02, 0.3, 0.9, 1.0, 1.0, 1.0, 0.99]
    assert run(returns, 3 * [1.38] + 4 * [1e-4], 3 * [0.1] + 4 * [1e-7]).stretches == []


def test_what_still_moves_or_still_chooses_is_not_stuck() -> None:
    low: list[float | None] = [90.0, 9.0, 9.0, 9.0, 9.0]
    assert run(low, [0.7] + 4 * [1e-4], [0.1] + 4 * [1e-4]).stretches == []
    assert run(low, [0.7] + 4 * [0.01], [0.1] + 4 * [0.0]).stretches == []
    assert run(low, [0.7, 1e-4, 1e-4, 0.5, 1e-4], [0.1] + 4 * [0.0]).stretches == [], "three rounds in a row"


def test_rounds_without_an_episode_say_nothing_of_the_return() -> None:
    nothing: list[float | None] = [90.0, None, None, None, 9.0, 9.0]
    (only,) = run(nothing, [0.7] + 5 * [1e-4], [0.1] + 5 * [0.0]).stretches
    assert (only.first, only.seen, only.episodes) == (1, 4, 10)
    few = run([90.0, 9.0, 9.0, 9.0], [0.7] + 3 * [1e-4], [0.1] + 3 * [0.0], episodes=3)
    assert few.stretches == [], "the best round has four episodes or more"


def test_unknown_entropy_and_kl_are_not_small() -> None:
    low: list[float | None] = [90.0, 9.0, 9.0, 9.0, 9.0]
    assert run(low, 5 * [math.nan], 5 * [0.0]).stretches == []
    assert run(low, [0.7] + 4 * [1e-4], 5 * [math.nan]).stretches == []


def test_it_may_begin_again() -> None:
    returns: list[float | None] = [90.0, *(4 * [9.0]), 80.0, *(4 * [9.0])]
    entropy = [0.7, *(4 * [1e-4]), 0.5, *(4 * [1e-4])]
    stuck = run(returns, entropy, [0.1, *(4 * [0.0]), 0.2, *(4 * [0.0])])
    assert [(each.first, each.last) for each in stuck.stretches] == [(1, 4), (6, 9)]

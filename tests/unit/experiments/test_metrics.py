"""The paper's metrics on curves worked out by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from engine.experiments.metrics import (
    SampleEfficiency,
    area,
    final_return,
    first_reached,
    levels,
    log_ratios,
    runtime_peak,
    sample_efficiency,
)
from engine.experiments.statistics import symmetric_efficiency

NAN = float("nan")


@pytest.mark.parametrize(
    ("curve", "level", "rounds"),
    [
        ([1, 3, 2, 3], 3, 2),
        ([1, 3, 2], 1, 1),  # at once
        ([1, 3, 2], 0, 1),  # a level below the first evaluation too
        ([1, 3, 2], 4, None),  # never
        ([5], 5, 1),
        ([NAN, NAN, 5], 5, 3),  # evaluated after the third round only
    ],
)
def test_first_reached_counts_rounds_from_one(curve: list[float], level: float, rounds: int | None) -> None:
    assert first_reached(curve, level) == rounds


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([2, 1, 2, 5, 4], [2, 5]),
        ([0, 0, 0], [0]),  # a plateau is one level
        ([-500, -500, -200, -100, -100], [-500, -200, -100]),
        ([3, 2, 1], [3]),
        ([NAN, 1, NAN, 2], [1, 2]),
    ],
)
def test_levels_increase_strictly(curve: list[float], expected: list[float]) -> None:
    assert levels(curve).tolist() == expected


def test_sample_efficiency_by_hand() -> None:
    # levels 1, 2, 4: standard after 1, 2, 3 rounds, filtered after 1, 1, 3
    assert sample_efficiency([1, 2, 4], [2, 3, 4]) == SampleEfficiency((0 + 1 / 2 + 0) / 3, 0.0, 3, 0)
    # levels 0, 1: standard after 1 and 4 rounds, filtered after 1 and 2
    assert sample_efficiency([0, 0, 0, 1], [0, 1, 1, 1]) == SampleEfficiency(0.25, 0.5, 2, 0)


def test_an_identical_curve_saves_nothing() -> None:
    curve = [0.0, 0.3, 0.2, 0.9, 0.9, 1.0]
    assert sample_efficiency(curve, curve) == SampleEfficiency(0.0, 0.0, 4, 0)


def test_a_level_that_is_never_reached_counts_as_one_round_more_than_there_are() -> None:
    # levels 1, 2, 3 after 1, 2, 3 rounds; filtered: 1 after 2 rounds, the others never (4)
    found = sample_efficiency([1, 2, 3], [0, 1, 1])
    assert found.ave == pytest.approx(((1 - 2) + (1 - 2) + (1 - 4 / 3)) / 3)
    assert (found.peak, found.levels, found.never) == (pytest.approx(-1 / 3), 3, 2)


def test_curves_of_one_round() -> None:
    assert sample_efficiency([1], [1]) == SampleEfficiency(0.0, 0.0, 1, 0)
    assert sample_efficiency([1], [0]) == SampleEfficiency(-1.0, -1.0, 1, 1)


def test_evaluating_every_other_round_counts_rounds_not_evaluations() -> None:
    # standard reaches 2 after 4 rounds, filtered after 2; level 1 both after 2
    found = sample_efficiency([NAN, 1, NAN, 2], [NAN, 2, NAN, 2])
    assert (found.ave, found.peak) == (0.25, 0.5)


def test_a_standard_run_without_an_evaluation_is_refused() -> None:
    with pytest.raises(ValueError, match="no evaluation"):
        sample_efficiency([NAN], [1])


def test_log_ratios_by_hand() -> None:
    # levels 1, 2, 3, 4 after 1, 2, 3, 3 and 1, 1, 2, 3 rounds
    expected = (np.log(1 / 2) + np.log(2 / 3)) / 4
    assert log_ratios([[1, 2, 4]], [[2, 3, 4]]) == pytest.approx(np.array([[expected]]))
    # only what both reach counts: level 1, after 2 rounds and after 1
    assert log_ratios([[0, 1, 1]], [[1, 5, 9]]) == pytest.approx(np.array([[(np.log(1) + np.log(1 / 2)) / 2]]))
    # rounds between evaluations: levels 1 and 2 after 2 and 4 rounds, and after 2 rounds both
    assert log_ratios([[NAN, 1, NAN, 2]], [[NAN, 2, NAN, 2]]) == pytest.approx(np.array([[np.log(1 / 2) / 2]]))
    assert log_ratios([[1, 2], [3, 3]], [[1, 2], [0, 5], [2, 2]]).shape == (2, 3)
    with pytest.raises(ValueError, match="no evaluation"):
        log_ratios([[NAN, NAN]], [[1, 2]])


@pytest.mark.parametrize("seed", range(5))
def test_exchanging_the_arms_turns_the_sign_and_an_arm_against_itself_is_exactly_zero(seed: int) -> None:
    """Curves that rise with noise, some rounds of them without an evaluation."""
    rng = np.random.default_rng(seed)
    curves = [np.cumsum(rng.normal(0.3, 1, (n, 25)), axis=1).round(1) for n in (4, 6)]
    for each in curves:
        each[:, rng.integers(25, size=6)] = np.nan
    assert np.array_equal(log_ratios(*curves), -log_ratios(*reversed(curves)).T)
    there, back = (symmetric_efficiency([log_ratios(*pair)], rng, 50).value for pair in (curves, curves[::-1]))
    assert (1 - there) * (1 - back) == pytest.approx(1)
    assert symmetric_efficiency([log_ratios(curves[0], curves[0])], rng, 50).value == 0
    ordered = permutations(curves[0], 2)
    assert np.mean([sample_efficiency(a, b).ave for a, b in ordered]) < 0, "which is what SE_ave reads there"


def test_runtime_peak_adds_up_seconds_until_the_peak() -> None:
    # standard: peak 3 after 3 rounds = 3 s; filtered: after 2 rounds of 1.2 s
    assert runtime_peak([1, 2, 3], [2, 3, 1], [1, 1, 1], [1.2, 1.2, 1.2]) == pytest.approx(1 - 2.4 / 3)
    # later plateaus don't count, slower rounds do
    assert runtime_peak([1, 3, 3], [1, 3, 3], [1, 1, 1], [2, 2, 2]) == pytest.approx(-1)
    # never: the whole training
    assert runtime_peak([1, 3], [1, 2], [1, 1], [1, 2]) == pytest.approx(1 - 3 / 2)


def test_final_return_and_area() -> None:
    assert final_return([9, 1, 2, 3]) == 2
    assert final_return([1, 2]) == 1.5
    assert final_return([9, NAN, 1, NAN, 2, 3]) == 2
    assert area([1, 2, 6]) == 3
    assert area([NAN, 2, NAN, 4]) == 3
    assert np.isclose(area(np.linspace(0, 1, 11)), 0.5)

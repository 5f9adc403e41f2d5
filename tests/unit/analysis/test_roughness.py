"""Roughness on graphs worked out by hand, and the graph of similar states."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from engine.analysis.roughness import SimilarityGraph, nearest_graph, roughness, shuffled_roughness


def graph(*edges: tuple[int, int, float]) -> SimilarityGraph:
    first, second, weight = zip(*edges, strict=True)
    return SimilarityGraph(np.array(first), np.array(second), np.array(weight, float))


@pytest.mark.parametrize(
    ("scores", "edges", "expected"),
    [
        ([5, 5, 5], [(0, 1, 1), (1, 2, 1)], 0),  # constant on a chain
        ([1, 0, -1], [(0, 1, 1), (1, 2, 1)], 1),  # each step is 1
        ([2, 0, -2], [(0, 1, 1), (1, 2, 1)], 1),  # the size of the scores does not count
        ([1, -1], [(0, 1, 7)], 4),  # the roughest there is; one weight alone cancels out
        ([1, 0, -1], [(0, 1, 1), (1, 2, 1), (0, 2, 1)], 2),  # triangle: (1 + 1 + 4) / 3
        ([1, 0, -1], [(0, 1, 3), (0, 2, 1)], 1.75),  # weighted: (3 * 1 + 1 * 4) / 4
        ([4, 2, 0, 0], [(0, 1, 1), (2, 3, 1)], 0.125),  # two islands: (0.25 + 0) / 2
        ([1, 0, 0, 0], [(0, 1, 1), (0, 2, 1), (0, 3, 1)], 1),  # a star whose centre stands out
    ],
)
def test_by_hand(scores: list[float], edges: list[tuple[int, int, float]], expected: float) -> None:
    assert roughness(scores, graph(*edges)) == pytest.approx(expected)
    assert roughness([-score for score in scores], graph(*edges)) == pytest.approx(expected), "the sign does not count"


def test_nothing_to_compare() -> None:
    assert math.isnan(roughness([0, 0], graph((0, 1, 1))))
    assert math.isnan(roughness([1, 2], graph((0, 1, 0))))
    assert math.isnan(roughness([3], nearest_graph(np.ones((1, 2)), np.random.default_rng(0))))
    assert math.isnan(shuffled_roughness([0, 0]))
    assert math.isnan(shuffled_roughness([3]))


def test_the_control_is_the_mean_over_all_ways_to_deal_the_scores() -> None:
    scores = [3.0, 1.0, -1.0, 0.0]
    shape = graph((0, 1, 1), (1, 2, 2), (0, 3, 0.5))
    mean = np.mean([roughness(order, shape) for order in permutations(scores)])
    assert shuffled_roughness(scores) == pytest.approx(mean)


def edges_of(found: SimilarityGraph) -> set[tuple[int, int]]:
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_directions_that_are_near_are_joined() -> None:
    angles = np.deg2rad([0, 10, 25, 90, 100])
    embedding = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([[1], [5], [1], [2], [1]])
    found = nearest_graph(embedding, np.random.default_rng(0), neighbours=1)
    assert edges_of(found) == {(0, 1), (1, 2), (3, 4)}
    weights = dict(zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.weight, strict=True))
    assert weights[0, 1] == pytest.approx(math.cos(math.radians(10)), abs=1e-6)
    assert weights[1, 2] == pytest.approx(math.cos(math.radians(15)), abs=1e-6)


def test_opposite_states_have_no_weight() -> None:
    found = nearest_graph(np.array([[1.0, 0], [-1, 0]]), np.random.default_rng(0))
    assert edges_of(found) == {(0, 1)}
    assert found.weight.tolist() == [0]


def test_ties_are_drawn_and_not_taken_in_order() -> None:
    """A hundred visits to one state: their edges must not all lead to the first few of them."""
    found = nearest_graph(np.ones((100, 3)), np.random.default_rng(0), neighbours=3)
    degree = np.bincount(np.concatenate([found.first, found.second]), minlength=100)
    assert degree.min() >= 3
    assert degree.max() < 20
    again = nearest_graph(np.ones((100, 3)), np.random.default_rng(0), neighbours=3)
    assert edges_of(again) == edges_of(found)

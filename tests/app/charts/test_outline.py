"""Points within an outline, and which records of a large round are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from app.charts.outline import inside


@pytest.mark.parametrize(
    ("point", "within"),
    [((1, 1), True), ((3, 1), False), ((0.5, 2.5), True), ((2.5, 2.5), False), ((-1, 1), False), ((1, 9), False)],
)
def test_a_point_in_an_angle(point: tuple[float, float], within: bool) -> None:
    """An L: its foot from (0, 0) to (4, 2) lacks the part right of 2, its leg goes up to 3 left of 2."""
    across, up = [0.0, 2.0, 2.0, 1.0, 1.0, 0.0], [0.0, 0.0, 2.0, 2.0, 3.0, 3.0]
    x, y = np.array([point[0]]), np.array([point[1]], np.float32)
    assert inside(x, y, across, up).tolist() == [within]


def test_the_same_points_as_by_distance_in_a_circle() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-2, 2, (2, 5000))
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    found = inside(x, y, np.cos(angle).tolist(), np.sin(angle).tolist())
    distance = np.hypot(x, y)
    clear = np.abs(distance - 1) > 1e-4
    assert np.array_equal(found[clear], distance[clear] < 1)
    assert not inside(x, y, [0.0, 1.0], [0.0, 1.0]).any(), "two corners enclose nothing"

"""The map of formation: a column a round or a stretch of them, blank where nothing is known, the chosen round framed."""

from __future__ import annotations

import numpy as np

from app.charts.formation_map import COLUMNS, formation_map, stretches
from app.charts.theme import LIGHT


def test_a_column_is_the_mean_of_the_rounds_that_are_known() -> None:
    columns = [[0, 1], [4, 5], [6, 9]]
    chart = formation_map(columns, {0: (0.5, -0.5), 1: (0.1, -0.1), 9: (0.0, 0.2)}, ["left", "right"], 4, dark=False)
    heat, clickable, _ = chart.data
    np.testing.assert_allclose(heat.z, [[0.3, np.nan, 0.0], [-0.3, np.nan, 0.2]])
    assert list(heat.customdata[0]) == [
        "rounds 0 to 1 (mean of 2)",
        "rounds 4 to 5 (mean of 0)",
        "rounds 6 to 9 (round 9)",
    ]
    assert [*zip(clickable.x, clickable.customdata, strict=True)] == [("0", 1), ("0", 1), ("6", 9), ("6", 9)]
    [frame] = chart.layout.shapes
    assert (frame.x0, frame.x1, frame.line.color) == (0.5, 1.5, LIGHT.text)
    assert chart.layout.xaxis.title.text == "first round of each column"


def test_a_round_a_column_says_so_and_a_click_on_the_chosen_column_keeps_the_round() -> None:
    chart = formation_map([[3], [7]], {3: (0.5,), 7: (0.5,)}, ["left"], 7, dark=True)
    assert list(chart.data[0].customdata[0]) == ["round 3", "round 7"]
    assert list(chart.data[1].customdata) == [3, 7]
    assert chart.layout.xaxis.title.text == "round"


def test_nothing_known_is_blank() -> None:
    chart = formation_map([[3], [7]], {}, ["left"], None, dark=False)
    assert np.isnan(np.array(chart.data[0].z, float)).all()
    assert len(chart.data[1].x) == 0
    assert not chart.layout.shapes


def test_stretches_hold_every_round_once_and_are_not_too_many() -> None:
    rounds = [*range(0, 5_000, 2)]
    found = stretches(rounds)
    assert len(found) == COLUMNS
    assert [number for column in found for number in column] == rounds
    assert {len(column) for column in found} <= {15, 16}
    assert stretches([]) == []

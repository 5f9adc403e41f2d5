"""The line in a cell of a table: within its cell, through what was measured, and none of what is no number."""

from __future__ import annotations

from base64 import b64decode

import numpy as np
import pytest

from app.charts.sparkline import COLUMNS, HEIGHT, MARGIN, WIDTH, corners, sparkline


@pytest.mark.parametrize("n", [1, 2, 30, 10_000])
def test_the_line_stays_in_its_cell_and_reaches_the_extremes(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    found = corners(values.tolist())
    assert len(found) <= 2 * COLUMNS
    assert all(MARGIN <= x <= WIDTH - MARGIN and MARGIN <= y <= HEIGHT - MARGIN for x, y in found)
    if n > 1:
        assert {min(y for _, y in found), max(y for _, y in found)} == {MARGIN, HEIGHT - MARGIN}


def test_every_round_of_a_short_run_is_a_corner() -> None:
    assert [y for _, y in corners([0.0, 0.0, 1.0, 0.0])] == [26.0, 26.0, 2.0, 26.0]
    assert corners([3.0, 3.0]) == [(2.0, 14.0), (138.0, 14.0)]


@pytest.mark.parametrize("values", [(), (np.nan,), (np.inf, -np.inf)])
def test_without_a_number_there_is_no_picture(values: tuple[float, ...]) -> None:
    assert sparkline(values) == ""


def test_the_picture_is_the_line_and_asks_nobody_for_anything() -> None:
    kind, _, data = sparkline((1.0, 2.0)).partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert 'points="2,26 138,2"' in b64decode(data).decode()


def test_a_picture_that_was_drawn_is_not_drawn_again() -> None:
    sparkline((1.0, 4.0, 2.0))
    before = sparkline.cache_info().hits
    sparkline((1.0, 4.0, 2.0))
    assert sparkline.cache_info().hits == before + 1

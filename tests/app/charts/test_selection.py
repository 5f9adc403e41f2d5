"""Charts of the selected records against the rest."""

from __future__ import annotations

import numpy as np

from app.charts.selection import composition


def test_no_grid_line_runs_through_the_shares_beside_the_bars() -> None:
    chosen = np.arange(10) < 4
    figure = composition(["action left", "advantage > 0"], [chosen, ~chosen], chosen, dark=False)
    assert {bar.textposition for bar in figure.data} == {"outside"}
    assert figure.layout.xaxis.showgrid is False
    assert figure.data[0].text == ("100%", "0%")

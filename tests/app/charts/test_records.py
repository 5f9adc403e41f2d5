"""Charts of a round's records: which records of a large one are drawn."""

from __future__ import annotations

import numpy as np

from app.charts import records as charts
from app.charts.records import MOST_MARKS, drawn


def test_a_large_round_is_drawn_in_part_and_the_chart_says_so() -> None:
    n = 3 * MOST_MARKS
    influence = np.random.default_rng(1).normal(size=n).astype(np.float32)
    places = drawn(influence)
    assert len(places) == MOST_MARKS == len(set(places.tolist()))
    strongest = np.argsort(-np.abs(influence))[: MOST_MARKS // 2]
    assert set(strongest.tolist()) <= set(places.tolist())
    assert np.diff(places).max() < 40, "no stretch of the round is left out"
    fields = {"record": np.arange(n), "influence": influence, "x": np.arange(n), "y": influence}
    chosen = [int(places[5]), int(np.setdiff1d(np.arange(n), places)[0])]
    figure = charts.scatter(fields, "x", "y", False, selected=chosen)
    assert np.array_equal(figure.data[0].customdata, places)
    assert figure.data[0].selectedpoints == (5,)
    assert f"{MOST_MARKS:,} of {n:,} records drawn" in figure.layout.annotations[0].text
    few = {name: column[:100] for name, column in fields.items()}
    assert not charts.scatter(few, "x", "y", False).layout.annotations

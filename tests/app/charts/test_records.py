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


FIELDS = {
    "record": np.arange(4),
    "influence": np.array([1, -1, 50, 0.5], np.float32),
    "x": np.arange(4),
    "y": np.zeros(4, np.float32),
    "action": np.array([0, 1, 1, 0]),
    "reward": np.array([0, 0, -100, 1], np.float32),
    "episode": np.array([7, 7, 7, 8]),
}


def test_a_mark_says_action_reward_and_episode() -> None:
    marks = charts.scatter(FIELDS, "x", "y", False, action_names=("left <b>", "right")).data[0]
    assert marks.hovertext[2] == ", episode 7<br>action right<br>reward -100"
    assert marks.hovertext[0] == ", episode 7<br>action left &lt;b&gt;<br>reward 0"


def test_no_mark_covers_the_percentages_of_a_policy() -> None:
    before, after = np.array([0.7, 0.3], np.float32), np.array([0.66, 0.34], np.float32)
    figure = charts.probabilities(["left", "right"], {"before": before, "after": after}, 0, False)
    assert figure.data[0].textposition == "none"
    beside = figure.layout.annotations
    assert [each.text for each in beside] == ["70 → 66 %", "30 → 34 %"]
    assert all(each.xref == "paper" and each.x == 1 and each.xanchor == "left" for each in beside)


def test_a_colour_scale_that_ends_before_the_influence_says_so() -> None:
    many = {name: np.resize(column, 400) for name, column in FIELDS.items()} | {"record": np.arange(400)}
    many["influence"] = np.where(np.arange(400) == 0, 50, 1).astype(np.float32)
    clipped = charts.scatter(many, "x", "y", False).data[0].marker.colorbar.ticktext
    assert (clipped[0], clipped[-1]) == ("≤ -1", "≥ +1")
    many["influence"] = np.where(np.arange(400) % 2, 1, -1).astype(np.float32)
    assert charts.scatter(many, "x", "y", False).data[0].marker.colorbar.ticktext[-1] == "+1"


def test_frames_of_a_large_basket_hide_nothing() -> None:
    n = charts.MOST_FRAMED + 1
    many = {name: np.resize(column, n) for name, column in FIELDS.items()} | {"record": np.arange(n)}
    few, all_ = (charts.scatter(many, "x", "y", False, ringed=(0, np.arange(m))) for m in (n - 1, n))
    assert [trace.marker.symbol for trace in few.data[1:]] == ["square-open", "circle-open"]
    assert [trace.marker.symbol for trace in all_.data[1:]] == ["circle-open"]

"""The curves of the Timeline: one axis and one cursor for all, the chosen round in each, and long runs as envelopes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from app.charts.envelope import COLUMNS
from app.charts.incidents import Marks, Removal
from app.charts.timeline import MARKED, Axes, Rounds, curves, how_it_is_drawn, table
from engine.analysis.incidents.incident import Incident

FALL = Incident("drop", 1234, 1230, 1240, "it fell", 1233, 1235)


def made(n: int, stored: slice | None = None, chosen: int | None = None) -> Rounds:
    """A return that rises by one a round, its noise, and two metrics of the update."""
    numbers = np.arange(n)
    metrics = {
        "mean_return": numbers.astype(float),
        "std_return": np.full(n, 3.0),
        "approx_kl": np.full(n, 0.01),
        "entropy": np.linspace(1.0, -1.0, n),
    }
    kept = np.zeros(n, bool)
    kept[slice(None) if stored is None else stored] = True
    return Rounds(numbers, metrics, kept, chosen)


def drawn(rounds: Rounds, marks: Marks | None = None, axes: Axes | None = None) -> dict[str, Any]:
    figure = curves(rounds, marks or Marks(), axes or Axes(), dark=False)
    return {"data": [each.to_plotly_json() for each in figure.data], "layout": figure.layout.to_plotly_json()}


def trace(chart: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in chart["data"] if each.get("name") == name)


def test_all_panels_share_an_axis_and_a_cursor_and_none_overlaps_another() -> None:
    chart = drawn(made(30, chosen=7), Marks([FALL]))
    layout = chart["layout"]
    assert (layout["hovermode"], layout["hoversubplots"]) == ("x unified", "axis")
    assert {each.get("xaxis", "x") for each in chart["data"]} == {"x"}
    assert {each.get("yaxis") for each in chart["data"]} == {"y", "y2", "y3", "y4"}
    domains = sorted(layout[f"yaxis{i}"]["domain"] for i in ("", 2, 3, 4))
    assert all(below[1] < above[0] for below, above in pairwise(domains))
    assert 0 <= domains[0][0] < domains[-1][1] <= 1
    assert domains[-1] == list(layout["yaxis"]["domain"]), "the return is on top"


def test_the_chosen_round_is_marked_over_the_whole_height() -> None:
    [line] = [shape for shape in drawn(made(30, chosen=7))["layout"]["shapes"] if shape["type"] == "line"]
    assert (line["x0"], line["x1"], line["yref"], line["y0"], line["y1"]) == (7, 7, "paper", 0, 1)


def test_a_short_run_is_drawn_as_it_is_with_a_band_of_one_standard_deviation() -> None:
    band, line, *_ = drawn(made(30, slice(0, None, 3)))["data"]
    assert list(line["y"]) == list(range(30))
    assert list(band["x"]) == [*range(30), *reversed(range(30))], "around its outline"
    assert list(band["y"]) == [*(k - 3 for k in range(30)), *(k + 3 for k in reversed(range(30)))]
    assert list(line["customdata"]) == [*range(30)]
    assert [symbol == "circle" for symbol in line["marker"]["symbol"]] == [k % 3 == 0 for k in range(30)]


def test_rounds_without_a_value_leave_no_hole_in_which_the_band_turns_over() -> None:
    rounds = made(30)
    rounds.metrics["mean_return"][[4, 5, 20]] = np.nan
    band, line, *_ = drawn(rounds)["data"]
    assert len(band["x"]) == 2 * len(line["x"]) == 2 * 27
    assert not {4, 5, 20} & {*line["x"]}


def test_a_long_run_is_an_envelope_in_which_what_matters_is_drawn_where_it_is() -> None:
    rounds = made(10_000, slice(50, 10_000, 200), chosen=650)
    removal = Removal(777, "helps", "without one", "id")
    chart = drawn(rounds, Marks([FALL], removals=[removal]))
    line, own = trace(chart, "mean_return"), trace(chart, "mean_return of single rounds")
    assert len(line["x"]) == COLUMNS
    assert {1234, 650, 777, *range(50, 10_000, 200)} == {*own["x"]}
    assert list(own["y"]) == list(own["x"])
    assert trace(chart, "entropy of single rounds")["x"].tolist() == [650]
    clicked = [k for k in line["customdata"] if k % 200 == 50]
    assert clicked == [*range(50, 10_000, 200)], "a click in the column of a round with records chooses it"
    assert all(len(each["x"]) <= COLUMNS * (2 if each.get("fill") else 1) for each in chart["data"])


def test_all_rounds_with_records_are_too_many_for_marks_of_their_own() -> None:
    chart = drawn(made(10_000, chosen=650))
    assert list(trace(chart, "mean_return of single rounds")["x"]) == [650]
    assert trace(chart, "mean_return")["marker"]["opacity"] == 0


def test_marks_that_nobody_sees_are_not_put_into_the_page_one_by_one() -> None:
    unseen = [each["marker"] for each in drawn(made(10_000))["data"] if each.get("marker", {}).get("opacity") == 0]
    assert [marker["maxdisplayed"] for marker in unseen] == [1, 1, 1]


def test_fewer_rounds_show_more() -> None:
    rounds = made(10_000).within(4_000, 4_000 + COLUMNS - 1)
    assert list(trace(drawn(rounds), "mean_return")["y"]) == [*range(4_000, 4_000 + COLUMNS)]
    assert drawn(rounds)["layout"]["xaxis"]["range"] == [3999.5, 4000 + COLUMNS - 0.5]


def test_steps_across_move_everything() -> None:
    chart = drawn(made(30, chosen=7), Marks([FALL]), Axes(steps=100))
    assert list(trace(chart, "mean_return")["x"]) == [100 * (k + 1) for k in range(30)]
    assert list(trace(chart, "drop")["x"]) == [123_500]
    assert list(trace(chart, "mean_return")["customdata"]) == [*range(30)], "a click still chooses a round"
    assert 800 in [shape["x0"] for shape in chart["layout"]["shapes"]]


def test_a_smoothed_curve_keeps_a_faint_line_as_measured() -> None:
    rounds = made(30)
    rounds.metrics["mean_return"][:] = np.arange(30) % 2
    faint, line = [each for each in drawn(rounds, axes=Axes(smoothing=0.9))["data"] if each.get("yaxis") == "y"][-2:]
    assert list(faint["y"]) == [k % 2 for k in range(30)]
    assert np.ptp(line["y"][10:]) < 0.3
    assert "as measured 1" in line["hovertext"][1]


def test_logarithms_are_taken_only_where_all_is_above_0() -> None:
    layout = drawn(made(30), axes=Axes(log=True))["layout"]
    titles = [note["text"] for note in layout["annotations"]]
    assert titles == ["entropy", "approximate KL"]
    assert drawn(made(30), axes=Axes(log=True))["data"][0]["connectgaps"], "a band that reaches below 0 stays one"
    assert [layout[f"yaxis{i}"].get("type") for i in ("", 3, 4)] == [None, None, "log"]
    formats = [layout[f"yaxis{i}"]["exponentformat"] for i in ("", 3, 4)]
    assert formats == ["power", "power", "none"], "powers at a logarithmic axis are larger than other labels"


@pytest.mark.parametrize(
    ("n", "stored", "said"),
    [
        (30, slice(None), "one standard deviation between episodes. Click a mark"),
        (
            30,
            slice(0, 3),
            "Filled marks have records: click one to choose the round. Records are kept of 3 of 30 rounds.",
        ),
        (COLUMNS + 1, slice(None), "band: from the lowest of them to the highest"),
        (MARKED, slice(0, 0), "Only the metrics of these rounds are kept."),
    ],
)
def test_the_caption_says_what_is_drawn(n: int, stored: slice, said: str) -> None:
    assert said in how_it_is_drawn(made(n, stored), Axes(), "episodes")


def test_the_caption_of_a_smoothed_curve_names_no_band_that_is_not_there() -> None:
    said = how_it_is_drawn(made(30), Axes(smoothing=0.5), "episodes")
    assert "Smoothed with weight 0.5" in said
    assert "deviation" not in said


def test_the_table_has_every_panel_and_every_round() -> None:
    found = table(made(12))
    assert list(found) == ["round", "mean return", "entropy", "approximate KL"]
    assert {len(column) for column in found.values()} == {12}

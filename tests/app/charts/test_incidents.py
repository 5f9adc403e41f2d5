"""The strip of incidents: a row a kind, told apart by shape and colour, in the rounds of the chart above."""

from __future__ import annotations

import html
from dataclasses import replace

import numpy as np
import pytest

from app.charts.incidents import ACROSS, SHAPES, WIDEST, Marks, Removal, colour_of, hover, in_lines
from app.charts.theme import DARK, LIGHT, Theme
from app.charts.timeline import Axes, Rounds, curves
from engine.analysis.incidents.falls import Drop
from engine.analysis.incidents.incident import Incident

NOISE = Drop(round=9, before=2.0, after=1.0, episodes_before=3, episodes_after=3, z=0.5)
ONE = Incident("drop", 5, 4, 7, "it fell", 4, 6)
EACH = [replace(ONE, kind=kind, onset=i, update=i) for i, kind in enumerate(SHAPES)]


def chart(
    found: list[Incident], noise: Drop | None = None, dark: bool = False, removals: list[Removal] | None = None
) -> dict:
    metrics = {"mean_return": np.ones(10), "std_return": np.full(10, 0.5)}
    rounds = Rounds(np.arange(10), metrics, np.ones(10, bool), chosen=3)
    return curves(rounds, Marks(found, noise, removals or []), Axes(), dark).to_dict()


def test_without_incidents_the_chart_is_as_it_was() -> None:
    assert "yaxis2" not in chart([])["layout"]


def test_every_kind_has_a_row_a_shape_and_a_colour_of_its_own() -> None:
    drawn = chart(EACH, NOISE)
    rows = [each for each in drawn["data"] if each["yaxis"] == "y2"]
    assert [row["name"] for row in rows] == [*SHAPES, "within noise"]
    assert len({*(symbol for row in rows for symbol in row["marker"]["symbol"])}) == len(rows)
    assert [list(row["x"]) for row in rows] == [[0], [1], [2], [3], [4], [9]]
    assert [row["customdata"] for row in rows] == [[0], [1], [2], [3], [4], [None]]
    assert drawn["layout"]["yaxis2"]["domain"][1] < drawn["layout"]["yaxis"]["domain"][0]
    assert drawn["layout"]["height"] > chart([ONE])["layout"]["height"] > chart([])["layout"]["height"]


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_no_colour_means_something_else(colours: Theme) -> None:
    used = [colour_of(kind, colours) for kind in SHAPES]
    assert len(set(used)) == len(used)
    assert not {*used} & {colours.helps, colours.hurts, colours.series[0]}


def test_removals_have_a_row_in_which_verdicts_are_told_apart_by_shape_and_colour() -> None:
    removals = [
        Removal(k, verdict, f"round {k}", f"id{k}") for k, verdict in enumerate(["helps", "hurts", "within noise"])
    ]
    row = chart([ONE], removals=removals)["data"][-1]
    assert row["name"] == "removals"
    assert list(row["x"]) == [0, 1, 2]
    assert row["customdata"] == ["id0", "id1", "id2"]
    assert list(row["marker"]["color"]) == [LIGHT.helps, LIGHT.hurts, LIGHT.text]
    assert len({*row["marker"]["symbol"]}) == 3
    both = chart([], removals=[*removals, Removal(2, "helps", "at every round", "id", row=ACROSS)])["data"][-2:]
    assert [(row["name"], list(row["x"])) for row in both] == [("removals", [0, 1, 2]), ("across training", [2])]


def test_an_incident_is_shaded_over_its_rounds_beside_the_chosen_round() -> None:
    shapes = chart([ONE])["layout"]["shapes"]
    assert [(shape["x0"], shape["x1"]) for shape in shapes] == [(3, 3), (3.5, 7.5)]


def test_what_is_read_on_a_mark_is_shown_letter_by_letter_in_lines() -> None:
    assert hover(ONE) == "it fell. The update to look at: 4."
    shown = in_lines("a < b " * 20)
    assert "a &lt; b" in shown
    assert [len(html.unescape(line)) <= WIDEST for line in shown.split("<br>")] == [True, True]

"""Formation on the Timeline: filled in column by column, the important rounds first."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import Open, errors, figure, numbers, pick
from streamlit.testing.v1 import AppTest

import engine
from app.behaviour import formation_map
from app.charts import formation_map as charts
from engine.analysis.behaviour import influence_by_action


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map of at most two columns."""
    monkeypatch.setattr(charts.stretches, "__defaults__", (2,))


def drawn(app: AppTest) -> list[list[float]]:
    """Action -> its share in every column."""
    heat = next(each for each in figure(app, "formation")["data"] if each["type"] == "heatmap")
    shape = [int(n) for n in heat["z"]["shape"].split(",")]
    flat = numbers(heat["z"])
    return [flat[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]


def test_the_important_rounds_come_first_then_the_newest_then_what_is_between() -> None:
    columns = [[k, k + 1] for k in range(0, 16, 2)]
    assert formation_map.order_of(columns, [4, 11, 5]) == [4, 11, 15, 7, 3, 13, 9, 1]
    assert {*formation_map.order_of(columns, [])} == {*range(1, 16, 2)}


def test_every_round_is_asked_only_on_request(open_page: Open, shown: engine.Run, few: None) -> None:
    app = open_page("timeline", shown.path.parent, run="cartpole", round="0")
    assert errors(app) == []
    known = influence_by_action(shown)
    assert {*known.found} == {0, 2}, "the chosen round, and the newest of the other column"
    for action, shares in enumerate(drawn(app)):
        assert shares == pytest.approx([known.found[0][action], known.found[2][action]])
    app.toggle(key="every_round_formed").set_value(True).run()
    assert errors(app) == []
    known = influence_by_action(shown)
    assert known.missing == []
    mean = [(known.found[0][a] + known.found[1][a]) / 2 for a in range(2)]
    assert [row[0] for row in drawn(app)] == pytest.approx(mean)
    assert app.query_params["every_round_formed"] == "True"


def test_a_click_on_a_column_chooses_its_round(open_page: Open, shown: engine.Run) -> None:
    app = open_page("timeline", shown.path.parent, run="cartpole", round="0")
    [frame] = figure(app, "formation")["layout"]["shapes"]
    assert (frame["x0"], frame["x1"]) == (-0.5, 0.5)
    pick(app, "formation", 2)
    assert app.query_params["round"] == "2"
    [frame] = figure(app, "formation")["layout"]["shapes"]
    assert (frame["x0"], frame["x1"]) == (1.5, 2.5)


def test_it_is_filled_in_bit_by_bit(open_page: Open, shown: engine.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formation_map, "SLICE_SECONDS", 1e-3)
    app = open_page("timeline", shown.path.parent, run="cartpole", round="1")
    for _ in range(4):
        assert errors(app) == []
        app.run()
    assert influence_by_action(shown).missing == []
    assert Path(shown.path / "derived").is_dir()

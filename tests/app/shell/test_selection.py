"""One selection, seen by every part of the Diagnose page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pages import FIRST, SEEN, Open, button, errors, figure, help_of, pick, press, tick, words
from streamlit.testing.v1 import AppTest

import engine
from app.shell import follow_run
from engine.intervention.record_sets import change_basket, read_sets, select
from engine.store.read import Run


def scatter(app: AppTest) -> Any:
    """The scatter as it was sent to the browser."""
    return figure(app, "records_scatter")


def test_a_selection_is_in_the_bar_the_charts_and_the_tables(open_page: Open, shown: Run) -> None:
    influence = engine.influence(shown.snapshot(2), "return", FIRST).influence
    app = open_page("diagnose", shown.path.parent, **SEEN)
    assert "Selection: none" in words(app).replace("*", "")
    bottom = next(frame.value for frame in app.dataframe if frame.key == "bottom_records")
    chosen = [*bottom["record"][[1, 4]], int(abs(influence).argmin())]
    select(shown, 2, chosen)
    app.run()
    assert errors(app) == []
    assert "3 of 140 records" in words(app)
    assert f"summed influence {influence[chosen].sum():+.3g} of {influence.sum():+.3g}" in words(app)
    assert app.session_state["bottom_records"]["selection"]["rows"] == [1, 4]
    assert app.button(key="add_to_basket").label == "Add 3 selected"
    app.button(key="add_to_basket").click().run()
    assert read_sets(shown, 2).basket == sorted(chosen)


@pytest.mark.parametrize("estimator", ["first_order", "replay_gradient"])
def test_a_selections_influence_by_term_and_by_layer(open_page: Open, shown: Run, estimator: str) -> None:
    chosen = [3, 50, 77]
    select(shown, 2, chosen)
    scores = engine.influence(shown.snapshot(2), "return", estimator, by_layer=True)
    app = open_page("diagnose", shown.path.parent, **SEEN, estimator=estimator)
    app.session_state["parts_panel"] = True
    app.run()
    assert errors(app) == []
    for what, parts in (("term", scores.terms), ("layer", scores.layers)):
        table = next(frame.value for frame in app.dataframe if what in frame.value)
        assert table[what].tolist() == list(parts)
        assert table["selection"].sum() == pytest.approx(float(scores.influence[chosen].sum()), rel=1e-4)
        assert table["all records"].tolist() == pytest.approx([float(part.sum()) for part in parts.values()], abs=1e-6)
    app.button(key="clear_selection").click().run()
    assert "selection" not in next(frame.value for frame in app.dataframe if "term" in frame.value)


def test_a_selection_belongs_to_its_round_and_outlives_the_session(open_page: Open, shown: Run) -> None:
    select(shown, 2, [3, 5])
    app = open_page("diagnose", shown.path.parent, **SEEN)
    assert "2 of 140 records" in words(app)
    press(app, "previous_round")
    assert "Selection: none" in words(app).replace("*", "")
    press(app, "next_round")
    assert "2 of 140 records" in words(app)
    app.button(key="clear_selection").click().run()
    assert "Selection: none" in words(app).replace("*", "")
    assert read_sets(shown, 2).selection == []


def test_where_the_disk_takes_nothing_the_selection_still_works(open_page: Open, shown: Run) -> None:
    select(shown, 2, [3, 5])
    shutil.rmtree(shown.path / "basket")
    (shown.path / "basket").write_text("in the way")
    app = open_page("diagnose", shown.path.parent, **SEEN)
    assert errors(app) == []
    (shown.path / "basket").unlink()
    select(shown, 2, [3, 5])
    app.run()
    shutil.rmtree(shown.path / "basket")
    (shown.path / "basket").write_text("in the way")
    select_less = app.button(key="clear_selection")
    select_less.click().run()
    assert errors(app) == []
    assert "Selection: none" in words(app).replace("*", "")


def test_a_selection_may_name_records_that_are_not_there(open_page: Open, shown: Run) -> None:
    select(shown, 2, [3, 5000])
    change_basket(shown, 2, add=[4, 6000])
    app = open_page("diagnose", shown.path.parent, **SEEN)
    assert errors(app) == []
    assert "1 of 140 records" in words(app)
    assert "Basket of round 2: 1 record" in words(app)


def test_a_pick_in_any_chart_is_the_selection(open_page: Open, shown: Run) -> None:
    snapshot = shown.snapshot(2)
    influence = engine.influence(snapshot, "return", FIRST).influence
    app = open_page("diagnose", shown.path.parent, **SEEN)
    pick(app, "records_scatter", 3, 5)
    assert read_sets(shown, 2).selection == [3, 5]
    pick(app, "influence_histogram", 0, 47)
    largest = abs(influence).max()
    assert read_sets(shown, 2).selection == np.flatnonzero(abs(influence) >= largest * 23 / 24).tolist()
    pick(app, "influence_over", 0)
    assert read_sets(shown, 2).selection == np.flatnonzero(snapshot.buffer.t < 2).tolist()
    pick(app, "composition", 1)
    assert read_sets(shown, 2).selection == np.flatnonzero(snapshot.buffer.action == 1).tolist()
    assert f"{(snapshot.buffer.action == 1).sum()} of 140 records" in words(app)


def test_the_scatter_stays_as_it_is_while_one_selects_in_it(open_page: Open, shown: Run) -> None:
    """Streamlit forgets what was picked in a chart whose figure changes."""
    app = open_page("diagnose", shown.path.parent, **SEEN)
    at_first = scatter(app)
    pick(app, "records_scatter", 3, 5)
    assert scatter(app) == at_first
    pick(app, "composition", 1)
    assert scatter(app)["data"][0]["selectedpoints"] == read_sets(shown, 2).selection
    drawn = scatter(app)
    pick(app, "records_scatter", 9)
    assert scatter(app) == drawn
    app.button(key="clear_selection").click().run()
    assert "selectedpoints" not in scatter(app)["data"][0]
    assert scatter(app) != at_first, "or the browser would still show what was picked"


def test_after_a_visit_to_another_page_the_scatter_shows_what_was_picked_in_it(open_page: Open, shown: Run) -> None:
    """The browser forgets what was picked in a chart that it no longer shows."""
    app = pick(open_page("diagnose", shown.path.parent, **SEEN), "records_scatter", 3, 5)
    assert "selectedpoints" not in scatter(app)["data"][0], "the browser shows them by itself"
    app.switch_page("views/timeline.py").run()
    app.switch_page("views/diagnose.py").run()
    assert errors(app) == []
    assert scatter(app)["data"][0]["selectedpoints"] == [3, 5]
    pick(app, "records_scatter", 9)
    assert scatter(app)["data"][0]["selectedpoints"] == [3, 5], "that the browser shows by itself again"


def test_a_row_that_is_ticked_joins_the_selection(open_page: Open, shown: Run) -> None:
    app = open_page("diagnose", shown.path.parent, **SEEN)
    top, bottom = (
        next(frame.value for frame in app.dataframe if frame.key == key)["record"]
        for key in ("top_records", "bottom_records")
    )
    select(shown, 2, [int(top[0]), int(bottom[3])])
    app.run()
    tick(app, "bottom_records", 2, 3)
    assert set(read_sets(shown, 2).selection) == {top[0], bottom[2], bottom[3]}
    assert app.number_input(key="inspect").value == bottom[2]
    tick(app, "top_records")
    assert set(read_sets(shown, 2).selection) == {bottom[2], bottom[3]}


def test_undo_takes_the_last_change_back_also_after_a_reload(open_page: Open, shown: Run) -> None:
    change_basket(shown, 2, add=[4, 6, 8])
    select(shown, 2, [3, 5])
    app = open_page("diagnose", shown.path.parent, **SEEN)
    app.button(key="clear_basket").click().run()
    assert "Basket of round 2: 0 records" in words(app)
    app = open_page("diagnose", shown.path.parent, **SEEN)
    assert help_of(app, "undo") == "Undo: 3 records out of the basket"
    press(app, "undo")
    assert "Basket of round 2: 3 records" in words(app)
    assert help_of(app, "undo") == "Undo: 2 records into the selection"
    press(app, "undo")
    assert "Selection: none" in words(app).replace("*", "")
    press(app, "redo", "redo")
    assert "Basket of round 2: 0 records" in words(app)
    assert "2 of 140 records" in words(app)
    assert help_of(app, "redo") == "Nothing to redo"
    press(app, "redo", "undo", "undo", "redo")
    assert errors(app) == []
    assert "Basket of round 2: 3 records" in words(app), "every press counts, and one with nothing to do does nothing"


def test_a_group_is_kept_and_taken_up_again(open_page: Open, shown: Run) -> None:
    scores = engine.influence(shown.snapshot(2), "return", FIRST)
    select(shown, 2, [3, 5, 9])
    app = open_page("diagnose", shown.path.parent, **SEEN)
    app.text_input(key="group_name").set_value("wrong *sign*").run()
    app.button(key="save_group").click().run()
    app.button(key="clear_selection").click().run()
    app = open_page("diagnose", shown.path.parent, **SEEN)
    table = next(frame.value for frame in app.dataframe if frame.key == "groups_table")
    sums = {
        name: part[[3, 5, 9]].sum() for name, part in {"summed influence": scores.influence, **scores.terms}.items()
    }
    assert table.to_dict("records") == [
        {"group": "wrong *sign*", "records": 3, **{name: pytest.approx(total) for name, total in sums.items()}}
    ]
    tick(app, "groups_table", 0)
    app.button(key="group_to_basket").click().run()
    app.button(key="select_group").click().run()
    sets = read_sets(shown, 2)
    assert (sets.basket, sets.selection) == ([3, 5, 9], [3, 5, 9])
    app.button(key="ask_about_group").click().run()
    assert app.text_input(key="asked").value == "3, 5, 9"
    app.button(key="delete_group").click().run()
    assert read_sets(shown, 2).groups == {}
    assert help_of(app, "undo") == "Undo: 3 records out of the group wrong *sign*"
    assert errors(app) == []


def test_what_can_not_be_a_group_is_one_line(open_page: Open, shown: Run) -> None:
    select(shown, 2, [3])
    app = open_page("diagnose", shown.path.parent, **SEEN)
    app.button(key="save_group").click().run()
    assert ["a group needs a name" in toast.value for toast in app.toast] == [True]
    assert read_sets(shown, 2).groups == {}


def test_the_inspector_opens_in_front_of_the_page(open_page: Open) -> None:
    app = open_page("diagnose", inspect="7", **SEEN)
    app.button(key="open_inspector").click().run()
    assert errors(app) == []
    assert app.number_input(key="inspect").value == 7
    assert app.button(key="open_inspector").disabled


def test_what_another_tab_does_is_seen(open_page: Open, shown: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is the truth: who looks at it finds the other tab's change, and draws all that shows the sets."""
    looks: list[Callable[[], bool]] = []
    monkeypatch.setattr(follow_run, "redraw_when", lambda news, every=2.0: looks.append(news))
    app = open_page("diagnose", shown.path.parent, **SEEN)
    change_basket(shown, 2, add=[4, 6])
    select(shown, 2, [6, 9])
    assert looks[-1](), "there is news"
    app.run()
    assert not looks[-1](), "it is drawn"
    assert button(app, "add_to_basket") == "Add 1 selected"
    assert not app.button(key="clear_basket").disabled
    app.button(key="clear_basket").click().run()
    assert not looks[-1](), "its own change is none"
    assert read_sets(shown, 2).basket == []


def test_what_a_browser_says_of_a_chart_that_is_gone_changes_nothing(open_page: Open, shown: Run) -> None:
    """It asks with what was picked before it heard that the chart was drawn anew, as timers make it do."""
    app = pick(open_page("diagnose", shown.path.parent, **SEEN), "records_scatter", 4, 6)
    before = next(chart.proto.id for chart in app.get("plotly_chart") if chart.proto.id.endswith("-records_scatter"))
    app = pick(app, "composition", 0)
    chosen = read_sets(shown, 2).selection
    assert chosen != [4, 6]
    states = app._tree.get_widget_states()
    states.widgets.add(id=before, string_value=json.dumps({"selection": {"points": [{"customdata": 4}]}}))
    app._run(states)
    assert errors(app) == []
    assert read_sets(shown, 2).selection == chosen

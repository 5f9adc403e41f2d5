"""The page Diagnose: the engine's numbers, and from a table over the basket to a removal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pages import FIRST, Open, errors, words

import engine
from engine.intervention.record_sets import change_basket, read_sets, select


def test_diagnose_shows_the_engines_numbers(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", round="2")
    influence = engine.influence(engine.open_run(runs / "cartpole").snapshot(2), "return", FIRST, cache=False).influence
    tables = {frame.key: frame.value for frame in app.dataframe}
    assert tables["top_records"]["record"][0] == influence.argmax()
    assert tables["bottom_records"]["record"][0] == influence.argmin()
    assert tables["bottom_records"]["influence"][0] == pytest.approx(influence.min())


def test_diagnose_action_target_from_the_url(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", round="2", target="action", about="7")
    snapshot = engine.open_run(runs / "cartpole").snapshot(2)
    influence = engine.influence(snapshot, engine.action_target(snapshot, record=7), FIRST, cache=False).influence
    tables = {frame.key: frame.value for frame in app.dataframe}
    assert tables["top_records"]["record"][0] == influence.argmax()
    assert "action target, record 7" in words(app)


def test_computing_again_gives_the_same_numbers(open_page: Open) -> None:
    app = open_page("diagnose", run="cartpole", round="2")
    app.button(key="compute").click().run()
    assert [toast.value for toast in app.toast] == ["Computed again: the same numbers."]


def test_table_rows_go_into_the_basket_on_disk(open_page: Open, runs: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    change_basket(run, 2, remove=None)
    app = open_page("diagnose", run="cartpole", round="2")
    bottom = next(frame.value for frame in app.dataframe if frame.key == "bottom_records")
    select(run, 2, bottom["record"][[0, 2]])
    app.run()
    app.button(key="add_to_basket").click().run()
    assert read_sets(run, 2).basket == sorted(bottom["record"][[0, 2]])
    again = open_page("diagnose", run="cartpole", round="2")
    assert "2 records" in words(again)
    again.button(key="clear_basket").click().run()
    assert read_sets(run, 2).basket == []


def test_retraining_an_empty_basket_says_what_to_do(open_page: Open, runs: Path) -> None:
    change_basket(engine.open_run(runs / "cartpole"), 0, remove=None)
    app = open_page("diagnose", run="cartpole", round="0")
    assert app.button(key="retrain").disabled
    assert "basket is empty" in app.button(key="retrain").help
    app.button(key="worst_half").click().run()
    influence = engine.influence(engine.open_run(runs / "cartpole").snapshot(0), "return", FIRST).influence
    half = np.argsort(influence, kind="stable")[: (influence < 0).sum() // 2]
    assert read_sets(engine.open_run(runs / "cartpole"), 0).basket == sorted(half.tolist())
    assert not app.button(key="retrain").disabled


def test_removing_all_records_is_refused_in_one_line(open_page: Open, runs: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    change_basket(run, 0, add=range(140))
    app = open_page("diagnose", run="cartpole", round="0")
    app.button(key="retrain").click().run()
    app.button(key="retrain_confirm").click().run()
    change_basket(run, 0, remove=None)
    assert "all 140 records would be removed" in errors(app)[0]

"""Ticks of tables belong to records, not to positions."""

from __future__ import annotations

import ast
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from pages import Open, errors, press, tick
from streamlit.testing.v1 import AppTest

import app
import engine
from app.shell import state
from engine.intervention.record_sets import change_basket, delete_group, save_group

HOME = Path(app.__file__).parent


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    made: dict[str, object] = {}
    monkeypatch.setattr(state.st, "session_state", made)
    return made


def click(session: dict[str, object], *rows: int) -> None:
    session["table"] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}


def test_ticks_follow_their_records(session: dict[str, object]) -> None:
    state.follow_rows("table", ["a", "b", "c"])
    click(session, 0, 2)
    assert state.ticked("table") == ["a", "c"]
    state.follow_rows("table", ["c", "b", "d"])
    assert state.ticked("table") == ["c"]
    state.follow_rows("table", ["d", "e"])
    assert state.ticked("table") == []


def test_ticks_can_be_decided(session: dict[str, object]) -> None:
    state.follow_rows("table", [7, 8, 9], {8, 5})
    assert session["table"] == {"selection": {"rows": [1], "columns": [], "cells": []}}


def test_a_group_of_another_round_is_not_ticked(open_page: Open, runs: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    save_group(run, 1, "one", [1, 2])
    save_group(run, 2, "two", [3])
    app = tick(open_page("diagnose", run="cartpole", round="1"), "groups_table", 0)
    assert [button.key for button in app.button if button.key == "delete_group"] == ["delete_group"]
    press(app, "next_round")
    assert errors(app) == []
    assert not [button for button in app.button if button.key == "delete_group"]
    delete_group(run, 1, "one")
    delete_group(run, 2, "two")


def test_what_is_taken_out_of_the_basket_stays_what_was_ticked(open_page: Open, runs: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    change_basket(run, 1, add=[4, 6, 9])
    app = open_page("diagnose", run="cartpole", round="1")
    table = next(frame.value for frame in app.dataframe if frame.key == "basket_table")
    app = tick(app, "basket_table", 2)
    last = int(table["record"][2])
    change_basket(run, 1, remove=[int(table["record"][0])])
    app.run()
    app.button(key="take_out").click().run()
    left = next(frame.value for frame in app.dataframe if frame.key == "basket_table")
    assert left["record"].tolist() == [int(table["record"][1])]
    assert last not in left["record"].tolist()
    assert app.button(key="take_out").label == "Take 0 selected out"
    change_basket(run, 1, remove=None)


def test_runs_stay_ticked_when_others_are_filtered_away(open_page: Open, runs: Path) -> None:
    app: AppTest = open_page("runs", branches="True")
    names = app.dataframe[0].value["run"].tolist()
    app = tick(app, "runs_table", 1, 2)
    app.text_input(key="search").set_value("branch").run()
    assert app.dataframe[0].value["run"].tolist() == names[1:]
    [link] = [link.proto for link in app.get("page_link") if "Compare these 2 runs" in link.proto.label]
    assert parse_qs(link.query_string)["runs"] == [f"{names[1]},{names[2]}"]


def ticked_tables() -> list[tuple[str, ast.FunctionDef | ast.Module, ast.Call]]:
    """File, function and call of every table of the app whose rows can be ticked."""
    found: list[tuple[str, ast.FunctionDef | ast.Module, ast.Call]] = []
    for path in sorted(HOME.rglob("*.py")):
        tree = ast.parse(path.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
            drawn = ast.unparse(call.func).endswith((".dataframe", ".data_editor"))
            if drawn and any(word.arg == "on_select" for word in call.keywords):
                around = [one for one in functions if call in ast.walk(one)]
                found.append((str(path.relative_to(HOME)), around[-1] if around else tree, call))
    return found


def test_every_table_with_ticks_says_what_its_rows_are() -> None:
    tables = ticked_tables()
    assert len(tables) >= 7
    for file, around, table in tables:
        key = next(ast.unparse(word.value) for word in table.keywords if word.arg == "key")
        calls = [one for one in ast.walk(around) if isinstance(one, ast.Call) and one.lineno < table.lineno]
        said = [
            one for one in calls if ast.unparse(one.func) == "state.follow_rows" and ast.unparse(one.args[0]) == key
        ]
        assert said, f"{file}: no state.follow_rows({key}, ...) before the table"

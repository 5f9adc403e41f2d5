"""Every page, without a browser: it draws, it follows the URL, and bad input ends in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pages import Open, errors, press, words

import engine


@pytest.mark.parametrize("page", ["timeline", "diagnose", "autopsy", "behaviour", "interventions", "compare"])
def test_page_draws_without_an_error(open_page: Open, page: str) -> None:
    app = open_page(page)
    assert errors(app) == []
    assert app.selectbox(key="run").value == "cartpole"


def test_empty_folder_says_how_to_record(open_page: Open, tmp_path: Path) -> None:
    app = open_page("diagnose", tmp_path)
    assert errors(app) == []
    assert "python -m engine train" in words(app)


def test_next_round_moves_the_view(open_page: Open) -> None:
    app = open_page("diagnose", run="cartpole", round="1")
    press(app, "next_round")
    assert errors(app) == []
    assert app.session_state["round"] == 2
    assert "round 2" in words(app)


@pytest.mark.parametrize(
    ("query", "complaint"), [({"round": "99"}, "round '99'"), ({"run": "nowhere"}, "The run nowhere is not in")]
)
def test_a_view_that_is_not_there_is_named(open_page: Open, query: dict[str, str], complaint: str) -> None:
    app = open_page("diagnose", **query)
    assert errors(app) == []
    assert complaint in words(app)


def test_behaviour_refuses_a_record_that_is_not_there(open_page: Open) -> None:
    assert "out of range" in errors(open_page("behaviour", run="cartpole", record="1:5000"))[0]
    assert "must be a round and a record" in errors(open_page("behaviour", run="cartpole", record="seven"))[0]
    assert "round 88 is not in this run" in errors(open_page("behaviour", run="cartpole", record="88:0"))[0]


def test_a_damaged_run_is_named_and_the_others_stay_usable(open_page: Open, runs: Path, tmp_path: Path) -> None:
    for name in ("a-damaged", "whole"):
        shutil.copytree(runs / "cartpole", tmp_path / name)
    commit = tmp_path / "a-damaged" / "commits" / "000001.json"
    commit.write_bytes(commit.read_bytes().replace(b'"round"', b'"wound"', 1))
    app = open_page("runs", tmp_path)
    assert any("000001.json" in line for line in errors(app))
    assert "whole" in app.dataframe[0].value["run"].tolist()
    assert "000001.json" in errors(open_page("diagnose", tmp_path, run="a-damaged"))[0]
    assert errors(open_page("diagnose", tmp_path, run="whole")) == []


def test_a_newer_schema_is_refused_by_name(open_page: Open, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "cartpole", tmp_path / "newer")
    manifest = tmp_path / "newer" / "run.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 2', '"schema_version": 9'))
    assert "schema version 9" in errors(open_page("timeline", tmp_path, run="newer"))[0]


def test_a_run_that_was_replaced_is_read_anew(open_page: Open, tmp_path: Path) -> None:
    for rounds in (1, 2):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        engine.train(engine.preset("CartPole-v1", "default", rounds=rounds, n_steps=64), tmp_path / "run")
        app = open_page("timeline", tmp_path, run="run")
        assert errors(app) == []
        assert app.metric[0].value == str(rounds)

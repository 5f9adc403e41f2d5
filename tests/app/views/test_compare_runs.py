"""Compare runs, without a browser: two seeds and a branch, and runs that can't be compared."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from reading import as_read
from streamlit.testing.v1 import AppTest
from worlds import record

import engine
from engine.analysis import films
from engine.analysis.films import film
from engine.analysis.policy_difference import difference, policy_in, shared_states
from engine.analysis.rendering import CannotDrawError
from engine.core.evaluation import EVALUATION_SEED

ROOT = Path(__file__).resolve().parents[3]
Open = Callable[..., AppTest]
SETTINGS = {"rounds": 3, "n_envs": 2, "n_steps": 70, "batch_size": 32, "n_epochs": 3}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cartpole: engine.Run) -> Path:
    """Two seeds, one of them with a branch, and a run of another environment."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(cartpole.path, folder / "pole")
    for seed in (1, 2):
        record(folder / f"pole-{seed}", "CartPole-v1", seed=seed, **SETTINGS)
    engine.retrain(
        engine.open_run(folder / "pole"), 1, [3, 5, 8], folder / "branch", orders=2, episodes=2, continue_rounds=1
    )
    record(folder / "lake", "FrozenLake-v1", **SETTINGS)
    return folder


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch, runs: Path) -> Open:
    """Open the page on runs."""

    def opened(*names: str, folder: Path = runs, **query: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(folder)])
        app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60)
        for key, value in {"runs": ",".join(names), **query}.items():
            app.query_params[key] = value
        app.switch_page("views/compare_runs.py")
        return app.run()

    return opened


def errors(app: AppTest) -> list[str]:
    assert not app.exception, app.exception[0].value
    return [as_read(error.value) for error in app.error]


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.info, app.warning)
    return " ".join(as_read(element.value) for kind in kinds for element in kind)


def lines(app: AppTest, key: str = "runs_curves") -> list[dict]:
    """The drawn lines that the legend names."""
    chart = next(chart for chart in app.get("plotly_chart") if chart.proto.id.endswith(key))
    return [trace for trace in json.loads(chart.proto.spec)["data"] if trace.get("name")]


def axis(app: AppTest, key: str = "runs_curves") -> list[float]:
    chart = next(chart for chart in app.get("plotly_chart") if chart.proto.id.endswith(key))
    return list(json.loads(chart.proto.spec)["layout"]["yaxis"]["range"])


def test_runs_are_drawn_one_by_one_at_first(compared: Open, runs: Path) -> None:
    app = compared("pole", "pole-1", "branch")
    assert errors(app) == []
    assert [line["name"] for line in lines(app)] == ["pole", "pole-1", "branch"]
    assert "join" not in [toggle.key for toggle in app.toggle], "two seeds are too few for a mean with a band"
    table = app.dataframe[0].value
    assert table.loc["seed"].tolist() == ["0", "1", "0"]
    assert "learning_rate" not in table.index
    assert table.loc["branch of", "branch"] == "pole"
    assert table.loc["removed records", "branch"] == "3 (mask)"


def test_seeds_are_joined_where_that_is_asked(compared: Open, runs: Path) -> None:
    names = ("pole", "pole-1", "pole-2", "branch")
    app = compared(*names)
    assert [line["name"] for line in lines(app)] == list(names)
    app.toggle(key="join").set_value(True).run()
    assert errors(app) == []
    assert [line["name"] for line in lines(app)] == ["pole, mean of seeds 0, 1, 2", "branch"]
    assert "band: 95 % t interval" in words(app)
    returns = [
        info.metrics["mean_return"]
        for name in names
        for info in engine.open_run(runs / name).rounds
        if info.metrics["mean_return"] is not None
    ]
    low, high = axis(app)
    assert low <= min(returns) < max(returns) <= high
    assert high - low < 1.2 * (max(returns) - min(returns)), "the axis is the data's, not the band's"
    app.selectbox(key="band").set_value("no band").run()
    assert "band:" not in words(app)
    app.multiselect(key="alone").set_value(["pole-1"]).run()
    assert [line["name"] for line in lines(app)] == list(names), "two are left: too few"
    assert {"join", "alone"} <= set(app.query_params)


def test_the_url_brings_the_view_back(compared: Open) -> None:
    app = compared("pole", "pole-1", metric="entropy", across="environment steps", smoothing="0.5")
    assert errors(app) == []
    assert app.selectbox(key="metric").value == "entropy"
    assert "Smoothed with weight 0.5" in words(app)
    assert app.query_params["runs"] in ("pole,pole-1", ["pole,pole-1"])


def test_nothing_chosen_says_what_to_do(compared: Open) -> None:
    app = compared()
    assert errors(app) == []
    assert "Choose two or more" in words(app)


def test_one_run_is_shown_and_a_second_asked_for(compared: Open) -> None:
    app = compared("lake")
    assert errors(app) == []
    assert "second run" in words(app)
    assert len(lines(app)) == 1


def test_a_run_that_is_not_there_is_named(compared: Open) -> None:
    app = compared("pole", "gone")
    assert errors(app) == []
    assert "runs 'gone' is not here" in words(app)


def test_a_damaged_run_leaves_the_others(compared: Open, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    commit = tmp_path / "runs" / "pole-1" / "commits" / "000001.json"
    commit.write_bytes(commit.read_bytes().replace(b"1", b"2", 1))
    app = compared("pole", "pole-1", "branch", folder=tmp_path / "runs")
    assert len(errors(app)) == 1
    assert errors(app)[0].startswith("pole-1 is left out: ")
    assert [line["name"] for line in lines(app)] == ["pole", "branch"]


def test_ticked_runs_are_compared(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(runs)])
    app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60).run()
    names = app.dataframe[0].value["run"].tolist()
    app.session_state["runs_table"] = {"selection": {"rows": [1, 2], "columns": [], "cells": []}}
    app.run()
    assert errors(app) == []
    link = next(link for link in app.get("page_link") if "Compare these 2 runs" in link.proto.label)
    assert link.proto.query_string.endswith(f"runs={names[1]}%2C{names[2]}")


def test_policies_are_compared_on_shared_states(compared: Open, runs: Path) -> None:
    app = compared("pole", "branch", first_round="2", second_round="2")
    assert errors(app) == []
    pole, branch = (engine.open_run(runs / name) for name in ("pole", "branch"))
    states = shared_states(pole.snapshot(2))
    found = difference(policy_in(pole, 2, states), policy_in(branch, 2, states))
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Mean KL(first ‖ second)"] == f"{found.kl.mean():.3g} nats"
    assert shown["Mean total variation"] == f"{found.distance.mean():.3g}"
    assert "records of round 2 of pole" in words(app)
    table = next(frame.value for frame in app.dataframe if frame.key == "differing_states")
    assert table["record"][0] == states.record[found.kl.argmax()]
    assert table["KL"][0] == pytest.approx(found.kl.max())
    (line,) = lines(app, "difference_over_rounds")
    assert line["name"] == "branch"


def test_a_state_leads_to_its_record(compared: Open) -> None:
    app = compared("pole", "branch")
    table = next(frame.value for frame in app.dataframe if frame.key == "differing_states")
    record = table["record"][3]
    app = compared("pole", "branch", differing_record=str(record))
    assert errors(app) == []
    link = next(link for link in app.get("page_link") if link.proto.label == f"Diagnose record {record}")
    assert f"inspect={record}" in link.proto.query_string


def test_policies_of_other_spaces_are_not_compared(compared: Open) -> None:
    app = compared("pole", "lake")
    assert errors(app) == []
    assert "their observations differ: 4 numbers in CartPole-v1, one of 16 in FrozenLake-v1" in words(app)
    assert [line["name"] for line in lines(app)] == ["pole", "lake"], "the curves are shown all the same"


def test_runs_without_common_rounds(compared: Open, runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(runs, folder)
    record(folder / "short", "CartPole-v1", **{**SETTINGS, "rounds": 1})
    engine.retrain(engine.open_run(folder / "pole"), 2, [3], folder / "late", orders=2, episodes=2)
    app = compared("short", "late", folder=folder)
    assert errors(app) == []
    assert "No curve over the rounds: late (no round in common)" in words(app)
    assert "Mean KL(first ‖ second)" in [metric.label for metric in app.metric]


def test_a_damaged_round_is_named_and_the_curves_stay(compared: Open, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    for file in (tmp_path / "runs" / "pole-1" / "data").glob("*-checkpoint-*"):
        file.write_bytes(file.read_bytes()[:-1])
    app = compared("pole", "pole-1", folder=tmp_path / "runs")
    assert len(errors(app)) == 1
    assert errors(app)[0].startswith("pole-1: data/")
    assert "is damaged" in errors(app)[0]
    assert [line["name"] for line in lines(app)] == ["pole", "pole-1"]


def test_episodes_are_played_with_the_same_luck(compared: Open, runs: Path) -> None:
    app = compared("pole", "branch", play="True", evaluation="3")
    assert errors(app) == []
    shown = {as_read(metric.label): metric.value for metric in app.metric}
    for name in ("pole", "branch"):
        total = film(engine.open_run(runs / name), 3, EVALUATION_SEED + 3).total
        assert shown[f"Return of {name}, final"] == f"{total:.4g}"
    assert f"seed {EVALUATION_SEED + 3}" in words(app)
    assert any(chart.proto.id.endswith("films") for chart in app.get("plotly_chart"))


def test_what_cannot_be_drawn_says_so(compared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise CannotDrawError("CartPole-v1 can't be drawn on this machine (no OpenGL)")

    monkeypatch.setattr(films, "take_picture", fails)
    app = compared("pole", "branch", play="True", evaluation="4")
    assert errors(app) == []
    assert "No pictures: CartPole-v1 can't be drawn on this machine (no OpenGL)" in words(app)
    assert "Return of pole, final" in [metric.label for metric in app.metric]


def test_episodes_of_two_environments_are_not_played(compared: Open) -> None:
    app = compared("pole", "lake", play="True")
    assert errors(app) == []
    assert "The two policies act in different environments: CartPole-v1 and FrozenLake-v1" in words(app)


def test_runs_with_commas_in_their_names_are_ticked_linked_and_compared(
    monkeypatch: pytest.MonkeyPatch, compared: Open, runs: Path, tmp_path: Path
) -> None:
    names = ["lr=1,seed=0", "lr=1%2Cseed=0", "plain"]
    for name in names:
        shutil.copytree(runs / "pole", tmp_path / name)
    monkeypatch.setattr(sys, "argv", ["streamlit", "--runs", str(tmp_path)])
    app = AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=60).run()
    shown = app.dataframe[0].value["run"].tolist()
    for one, other in itertools.combinations(names, 2):
        pair = sorted((one, other), key=shown.index)
        app.session_state["runs_table"] = {
            "selection": {"rows": [shown.index(n) for n in pair], "columns": [], "cells": []}
        }
        app.run()
        link = next(link for link in app.get("page_link") if "Compare these 2 runs" in link.proto.label)
        [said] = parse_qs(link.proto.query_string)["runs"]
        page = compared(said, folder=tmp_path)
        assert errors(page) == []
        assert page.multiselect(key="runs").value == pair
        assert page.query_params["runs"] == said


def test_links_that_were_made_before_names_could_have_commas(compared: Open, runs: Path, tmp_path: Path) -> None:
    for name in ("50%", "a b"):
        shutil.copytree(runs / "pole", tmp_path / name)
    assert compared("50%,a b", folder=tmp_path).multiselect(key="runs").value == ["50%", "a b"]

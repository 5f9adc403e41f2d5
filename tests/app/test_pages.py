"""Every page, without a browser: it draws, it follows the URL, and bad input ends in one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pages import Open, errors, words

import engine
from engine.experiments.campaign import run_campaign
from engine.experiments.plans import EXPERIMENTS
from engine.intervention.record_sets import change_basket, read_sets, select
from engine.store import read_json, write_json


@pytest.mark.parametrize("page", ["runs", "timeline", "diagnose", "behaviour", "interventions", "compare"])
def test_page_draws_without_an_error(open_page: Open, page: str) -> None:
    app = open_page(page)
    assert errors(app) == []
    assert app.selectbox(key="run").value == "cartpole"


def test_runs_lists_the_run_and_hides_its_branches(open_page: Open) -> None:
    table = open_page("runs").dataframe[0].value
    assert table["run"].tolist() == ["cartpole"]
    assert table["rounds"].tolist() == [3]
    app = open_page("runs")
    app.toggle(key="branches").set_value(True).run()
    assert len(app.dataframe[0].value) == 3, "the branch and its control"


def test_runs_says_when_nothing_fits(open_page: Open) -> None:
    app = open_page("runs")
    app.text_input(key="search").set_value("nothing like it").run()
    assert "No run fits" in words(app)


def test_empty_folder_says_how_to_record(open_page: Open, tmp_path: Path) -> None:
    app = open_page("diagnose", tmp_path)
    assert errors(app) == []
    assert "python -m engine train" in words(app)


def test_diagnose_shows_the_engines_numbers(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", round="2")
    influence = engine.influence(engine.open_run(runs / "cartpole").snapshot(2), cache=False).influence
    tables = {frame.key: frame.value for frame in app.dataframe}
    assert tables["top_records"]["record"][0] == influence.argmax()
    assert tables["bottom_records"]["record"][0] == influence.argmin()
    assert tables["bottom_records"]["influence"][0] == pytest.approx(influence.min())


def test_diagnose_action_target_from_the_url(open_page: Open, runs: Path) -> None:
    app = open_page("diagnose", run="cartpole", round="2", target="action", about="7")
    snapshot = engine.open_run(runs / "cartpole").snapshot(2)
    influence = engine.influence(snapshot, engine.action_target(snapshot, record=7), cache=False).influence
    tables = {frame.key: frame.value for frame in app.dataframe}
    assert tables["top_records"]["record"][0] == influence.argmax()
    assert "action target, record 7" in words(app)


def test_computing_again_gives_the_same_numbers(open_page: Open) -> None:
    app = open_page("diagnose", run="cartpole", round="2")
    app.button(key="compute").click().run()
    assert [toast.value for toast in app.toast] == ["Computed again: the same numbers."]


def test_next_round_moves_the_view(open_page: Open) -> None:
    app = open_page("diagnose", run="cartpole", round="1")
    app.button(key="next_round").click().run()
    assert errors(app) == []
    assert app.session_state["round"] == 2
    assert "round 2" in words(app)


@pytest.mark.parametrize(
    ("query", "complaint"), [({"round": "99"}, "round '99'"), ({"run": "nowhere"}, "run 'nowhere'")]
)
def test_a_view_that_is_not_there_is_named(open_page: Open, query: dict[str, str], complaint: str) -> None:
    app = open_page("diagnose", **query)
    assert errors(app) == []
    assert complaint in words(app)


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
    app.button(key="retrain").click().run()
    assert "basket is empty" in words(app)


def test_removing_all_records_is_refused_in_one_line(open_page: Open, runs: Path) -> None:
    run = engine.open_run(runs / "cartpole")
    change_basket(run, 0, add=range(140))
    app = open_page("diagnose", run="cartpole", round="0")
    app.button(key="retrain").click().run()
    app.button(key="retrain_confirm").click().run()
    change_basket(run, 0, remove=None)
    assert "all 140 records would be removed" in errors(app)[0]


def test_behaviour_refuses_a_record_that_is_not_there(open_page: Open) -> None:
    assert "out of range" in errors(open_page("behaviour", run="cartpole", record="1:5000"))[0]
    assert "must be a round and a record" in errors(open_page("behaviour", run="cartpole", record="seven"))[0]
    assert "round 88 is not in this run" in errors(open_page("behaviour", run="cartpole", record="88:0"))[0]


def test_compare_is_found_by_the_intervention_alone(open_page: Open, runs: Path) -> None:
    id = next((runs / "cartpole" / "interventions").iterdir()).name
    app = open_page("compare", iv=id)
    result = json.loads((runs / "cartpole" / "interventions" / id / "branch" / "result.json").read_text())
    assert errors(app) == []
    shown = words(app) + " ".join(box.value for kind in (app.success, app.warning, app.info) for box in kind)
    assert f"**{result['verdict']}**" in shown
    assert "without 3 of 140 records" in shown


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
        engine.train(engine.preset("CartPole-v1", rounds=rounds, n_steps=64), tmp_path / "run")
        app = open_page("timeline", tmp_path, run="run")
        assert errors(app) == []
        assert app.metric[0].value == str(rounds)


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small campaign of two environments, one of them not finished."""
    folder = tmp_path_factory.mktemp("campaigns")
    lake = EXPERIMENTS["frozenlake"]
    pole = replace(EXPERIMENTS["acrobot"], name="pole", env_id="CartPole-v1", paper=None)
    arms, small = ("ppo", "iif 0.5", "iif 1"), {"n_steps": 128, "batch_size": 16}
    lake = lake.changed((*arms, "iif 0.5 tracin_adam"), 2, 2, small)
    pole = pole.changed(arms, 2, 2, small)
    run_campaign([lake, pole], range(2), folder / "mine")
    definition = folder / "mine" / "pole" / "campaign.json"
    said = read_json(definition).values
    said["seeds"]["iif 1"].append(2)
    write_json(definition, said)
    return folder


def test_experiments_shows_a_campaign(open_page: Open, campaigns: Path) -> None:
    app = open_page("experiments", folder=campaigns, experiment="frozenlake", arms="ppo,iif 1,nobody")
    assert not errors(app)
    assert app.selectbox(key="campaign").value == "mine"
    assert app.multiselect(key="arms").value == ["ppo", "iif 1"]
    assert "arms 'nobody' is not here" in words(app)
    efficiency, returns = (table.value for table in app.dataframe)
    assert efficiency["arm"].tolist() == ["IIF in the paper", "iif 0.5", "iif 1", "iif 0.5 tracin_adam"]
    assert efficiency["SE_ave"][0] == "34.0 ± 2.0"
    assert returns["arm"].tolist() == ["ppo", "iif 0.5", "iif 1", "iif 0.5 tracin_adam"]
    assert returns["final return: to PPO"][1].endswith(("better", "worse", "within noise"))
    assert app.query_params["experiment"] == "frozenlake"
    [lines] = [json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart") if "p = %" in chart.proto.spec]
    assert [line["name"] for line in lines] == ["iif"], "the choice of p: another estimator is no other p"


def test_experiments_says_what_is_not_finished(open_page: Open, campaigns: Path) -> None:
    app = open_page("experiments", folder=campaigns, experiment="pole")
    assert not errors(app)
    assert "This campaign is not finished" in words(app)
    assert not errors(open_page("experiments", folder=campaigns, experiment="all"))


def test_experiments_without_any(open_page: Open, tmp_path: Path) -> None:
    app = open_page("experiments", folder=tmp_path)
    assert not errors(app)
    assert "python -m engine reproduce" in words(app)


def test_damaged_experiments_are_a_line_each(open_page: Open, campaigns: Path, tmp_path: Path) -> None:
    shutil.copytree(campaigns / "mine", tmp_path / "mine")
    results = tmp_path / "mine" / "frozenlake" / "results.parquet"
    results.write_bytes(results.read_bytes()[:-100])
    (tmp_path / "mine" / "courtesy").mkdir()
    (tmp_path / "mine" / "courtesy" / "plan.json").write_text("{")
    app = open_page("experiments", folder=tmp_path)
    lines = errors(app)
    assert ["results.parquet is damaged" in lines[0], "courtesy/plan.json is damaged" in lines[1]] == [True, True]
    assert app.selectbox(key="experiment").options == ["pole"], "what is sound is shown"
    assert [metric.value for metric in app.metric if metric.label == "Environment"] == ["CartPole-v1"]
    shutil.rmtree(tmp_path / "mine" / "pole")
    assert len(errors(open_page("experiments", folder=tmp_path))) == 2, "also where nothing is"

"""The page Experiments: a campaign's numbers, what is not finished, and what is damaged."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_results import BETTER, PPO, WORSE, results, write
from pages import Open, errors, words

from engine.experiments.campaign import run_campaign
from engine.experiments.plans import EXPERIMENTS
from engine.store import read_json, write_json


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small campaign of two environments, one of them not finished."""
    folder = tmp_path_factory.mktemp("campaigns")
    arms, small = ("ppo", "iif 0.5", "iif 1"), {"n_steps": 128, "batch_size": 16}
    lake = {"ppo": PPO, "iif 0.5": BETTER, "iif 1": WORSE, "iif 0.5 tracin_adam": BETTER}
    write(results("frozenlake", lake), folder / "mine")
    pole = replace(EXPERIMENTS["acrobot"], name="pole", env_id="CartPole-v1", preset="default")
    run_campaign([pole.changed(arms, 2, 2, small)], range(2), folder / "mine")
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
    compared = ["ppo against ppo", "iif 0.5", "iif 1", "iif 0.5 tracin_adam"]
    assert efficiency["arm"].tolist() == [*compared, "paper: iif 0.5"]
    assert efficiency["SE_ave"].tolist()[-1] == "34.0 ± 2.0"
    assert efficiency["SE_sym"][0].startswith("0.0 (-")
    assert "gradients clipped" not in words(app)
    assert "6 rounds, where the paper has 30" in words(app)
    assert "Rounds needed (SE_sym): fewer than PPO: iif 0.5, iif 0.5 tracin" in words(app)
    assert returns["arm"].tolist() == ["ppo", "iif 0.5", "iif 1", "iif 0.5 tracin_adam"]
    assert returns["final return: against PPO"][1].endswith(("better", "worse", "within noise"))
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

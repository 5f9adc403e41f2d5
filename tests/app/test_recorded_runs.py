"""Runs of other trainers on every page: what each of them can't say is one line, and nothing else is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pages import Open, errors, words
from recorded_policies import MODELS

import engine
from engine.recording import sb3

sys.path.insert(0, str(Path(engine.__file__).parents[1] / "docs" / "examples"))
import ppo_single_file as loop

NAMES = ("masked", "parts", "several discrete", "images", "gsde", "gaussian", "rmsprop", "own policy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recorded")
    for name in NAMES:
        model = MODELS[name]()
        with sb3.Recorder(made / name, info=["luck"]) as recorder:
            model.learn(2 * model.n_steps * model.n_envs, callback=recorder)
    loop.main(str(made / "loop"), 2)
    return made


@pytest.mark.parametrize("name", [name for name in NAMES if name != "own policy"])
def test_every_page_opens(open_page: Open, folder: Path, name: str) -> None:
    for page in ("timeline", "diagnose", "behaviour", "interventions", "compare_runs"):
        app = open_page(page, folder, run=name, round="1", record="1:3")
        assert not app.exception, (page, app.exception)
        said = [each for each in errors(app) if "not shown" not in each]
        assert said == [], page
    app = open_page("timeline", folder, run=name, round="1")
    assert "Recorded from Stable-Baselines3" in words(app)
    assert "The first round was replayed while it was recorded: equal bit for bit." in words(app)


@pytest.mark.parametrize(("name", "package"), [("own policy", "recorded_policies"), ("loop", "ppo_single_file")])
def test_a_policy_that_needs_the_readers_word_says_so(open_page: Open, folder: Path, name: str, package: str) -> None:
    for page in ("diagnose", "behaviour"):
        app = open_page(page, folder, run=name, round="1", record="1:3")
        assert not app.exception
        assert any(f"--allow {package}" in each for each in errors(app))
    app = open_page("timeline", folder, run=name, round="1")
    assert not app.exception
    assert "Recorded from" in words(app)
    records: Any = next(each.value for each in app.dataframe if "advantage" in each.value)
    assert len(records) == len(engine.open_run(folder / name).snapshot(1).buffer)


def test_the_trainer_is_a_column_of_the_runs(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder)
    table: Any = next(each.value for each in app.dataframe if "trainer" in each.value)
    assert set(table["trainer"]) == {"Stable-Baselines3 PPO", "Stable-Baselines3 MaskablePPO", "own loop"}

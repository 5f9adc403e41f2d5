"""Runs of other trainers on every page: what each of them can't say is one line, and nothing else is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pages import Open, errors, figure, numbers, words
from recorded_policies import MODELS, RECURRENT

import engine
from app.diagnosis import html_report
from app.removal import start
from engine.intervention.outcome import UnplayedOutcome
from engine.intervention.record_sets import change_basket
from engine.jobs.interventions import create_job, list_jobs
from engine.jobs.work import work
from engine.recording import sb3

sys.path.insert(0, str(Path(engine.__file__).parents[1] / "docs" / "examples"))
import ppo_single_file as loop

NAMES = ("masked", "parts", "several discrete", "images", "gsde", "gaussian", "rmsprop", "own policy", "LSTM")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recorded")
    models = MODELS | {"LSTM": RECURRENT["critic with its own"]}
    for name in NAMES:
        model = models[name]()
        with sb3.Recorder(made / name, info=["luck"]) as recorder:
            model.learn(2 * model.n_steps * model.n_envs, callback=recorder)
    loop.main(str(made / "loop"), 2)
    return made


@pytest.mark.parametrize("name", [name for name in NAMES if name != "own policy"])
def test_every_page_opens(open_page: Open, folder: Path, name: str) -> None:
    for page in ("timeline", "diagnose", "behaviour", "interventions", "compare_runs"):
        app = open_page(page, folder, run=name, round="1", record="1:3")
        assert not app.exception, (page, app.exception)
        said = [each for each in errors(app) if "not shown" not in each and "policy with a memory" not in each]
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


def test_a_removal_where_nothing_can_be_played_is_judged_on_records(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the dialog, which says so beforehand, over the job to Compare, the interventions and the report."""
    run = engine.open_run(folder / "masked")
    monkeypatch.setattr(start, "launch", lambda folder: None)
    change_basket(run, 0, add=[3, 5, 9])
    app = open_page("diagnose", folder, run="masked", round="0", estimator="first_order")
    app.button(key="retrain").click().run()
    assert "Nothing will be played: can't play this run's environment 'MaskedWorld'" in words(app)
    assert app.number_input(key="episodes").disabled
    app.number_input(key="orders").set_value(2)
    app.button(key="retrain_confirm").click().run()
    [job] = list_jobs(run)
    work(job.folder)
    [done] = list_jobs(run)
    assert isinstance(done.result, UnplayedOutcome)
    assert create_job(run, run.snapshot(0), done.plan, {})[1] is False

    app = open_page("compare", folder, run="masked")
    said = words(app)
    assert errors(app) == []
    assert f"**{done.result.verdict}**" in said
    assert "Nothing was played: can't play this run's environment 'MaskedWorld'" in said
    about = ("no evaluation episodes", "target: return, by this round's advantages", "estimator: first_order")
    assert all(part in said for part in about)
    assert "so nothing is known of the return." in said
    assert f"({done.result.judged.control.low:+.3g} to {done.result.judged.control.high:+.3g})" in said, "the controls"
    shown = figure(app, "compare_on_records")
    means = [each for each in shown["data"] if each.get("name") == "without as many random records"]
    assert numbers(means[0]["y"]) == [on.return_target.control.mean for on in done.result.by_round]
    assert len(means) == 4, "a panel for each number"
    rows: Any = next(each.value for each in app.dataframe if "between the two" in each.value)
    assert set(rows["round"]) == {0, 1}

    app = open_page("interventions", folder, run="masked")
    assert "mode mask, 2 minibatch orders, nothing played" in words(app)
    assert "evaluation episodes" not in words(app)
    app = open_page("interventions", folder, run="masked", view="Across training")
    assert "so nothing can be started" in words(app)
    assert app.button(key="across_start").disabled
    [reported] = html_report._interventions(run, 0)
    assert reported["verdict"] == done.result.verdict
    assert "Nothing was played" in reported["words"]
    assert len(reported["lines"]) == len(rows)


def test_the_trainer_is_a_column_of_the_runs(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder)
    table: Any = next(each.value for each in app.dataframe if "trainer" in each.value)
    theirs = {f"Stable-Baselines3 {name}" for name in ("PPO", "MaskablePPO", "RecurrentPPO")}
    assert set(table["trainer"]) == theirs | {"own loop"}

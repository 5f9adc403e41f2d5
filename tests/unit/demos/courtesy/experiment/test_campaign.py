"""The demonstration's campaign, on rounds of a few sequences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import main
from engine.demos.courtesy.experiment import campaign
from engine.demos.courtesy.experiment.campaign import finished_tasks, run_courtesy
from engine.demos.courtesy.experiment.plan import Plan
from engine.demos.courtesy.experiment.results import read_results
from engine.demos.courtesy.world import World
from engine.errors import BadInputError

pytestmark = pytest.mark.long

SMALL = {"n_steps": 20, "batch_size": 10, "n_epochs": 1, "validation_prompts": 16}
PLAN = Plan().changed(["ppo", "iif"], rounds=1, responses=24, settings=SMALL)
TIMES = ("seconds", "filter_seconds")


@pytest.fixture(scope="module")
def done(courtesy: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign of four tasks; tests don't write to it."""
    folder = tmp_path_factory.mktemp("courtesy")
    run_courtesy(PLAN, [1], folder, command="python -m engine reproduce courtesy")
    return folder


def numbers(folder: Path) -> dict[str, list[Any]]:
    results = read_results(folder)
    assert results is not None
    return results.table.drop_columns(list(TIMES)).to_pydict()


def test_arms_begin_with_the_same_policy_and_the_flips_are_planted(done: Path) -> None:
    results = read_results(done)
    assert results is not None
    assert results.complete
    for name in ("rude", "fluency", "kl"):
        start = {float(results.column((c, arm), name)[0, 0]) for c, arm in results.finished}
        assert len(start) == 1, name
    assert results.column(("clean", "iif"), "flips").sum() == 0
    assert results.column(("flipped", "iif"), "flips")[0].tolist() == [0, 4]
    assert results.column(("flipped", "ppo"), "sequences")[0].tolist() == [0, 20]
    assert results.column(("flipped", "iif"), "sequences")[0].tolist() == [0, 36]
    assert 0 <= results.column(("flipped", "iif"), "auc_influence")[0, 1] <= 1
    assert results.column(("flipped", "ppo"), "dropped").sum() == 0


def test_a_task_that_is_missing_is_done_again_as_it_was(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_courtesy(PLAN.changed(["iif"]), [1], tmp_path)
    assert finished_tasks(PLAN, [1], tmp_path) == (2, 4)
    asked: list[str] = []
    train = campaign.train_and_judge
    monkeypatch.setattr(campaign, "train_and_judge", lambda task: (asked.append(str(task)), train(task))[1])
    run_courtesy(PLAN, [1], tmp_path)
    assert asked == ["courtesy clean, ppo, seed 1", "courtesy flipped, ppo, seed 1"]
    assert numbers(tmp_path) == numbers(done)
    assert finished_tasks(PLAN, [1], tmp_path) == (4, 4)
    assert list((tmp_path / "courtesy" / "tasks").iterdir()) == []
    with pytest.raises(BadInputError, match="has rounds=1, not 2"):
        run_courtesy(PLAN.changed(rounds=2), [1], tmp_path)


def test_the_command_reports_and_prints_the_caveat(
    courtesy: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["reproduce", "courtesy", "--arms", "ppo", "iif", "--seeds", "1", "--rounds", "1", "--episodes", "8"]
    command += [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    monkeypatch.setattr("sys.argv", ["engine", *command, "--executor", "inline", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as exit:
        main()
    assert not exit.value.code
    printed = " ".join(capsys.readouterr().out.split())
    assert "IIF saw clean validation rewards" in printed
    assert "Finding the planted flips in the first round" in printed
    report = (tmp_path / "courtesy" / "report.html").read_text()
    assert "python -m engine reproduce courtesy --arms ppo iif" in report
    assert json.loads((tmp_path / "courtesy" / "plan.json").read_text())["plan"]["responses"] == 8

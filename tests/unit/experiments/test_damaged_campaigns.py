"""A damaged experiment is one line, and takes no other of its campaign with it; nothing is reached through links."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from commands import Command, Listing, refused
from courtesy_curves import FAST, made_up
from courtesy_curves import rows as courtesy_rows

from app.experiments import loaders
from engine.demos.courtesy.experiment import results as courtesy
from engine.demos.courtesy.experiment.campaign import run_courtesy
from engine.errors import BadInputError, DamagedRunError
from engine.experiments.campaign import run_campaign
from engine.experiments.plans import EXPERIMENTS, Experiment
from engine.experiments.report import render, write_report
from engine.experiments.results import SCHEMA, Results, begin, read_campaign
from engine.experiments.summary import summary
from engine.store import read_json, write_json
from engine.store.results_table import read_results_table, write_results

Change = Callable[[dict[str, Any]], object]

LAKE = EXPERIMENTS["frozenlake"].changed(["ppo", "iif 0.5"], rounds=3, episodes=4)
ROBOT = EXPERIMENTS["acrobot"].changed(["ppo"], rounds=3, episodes=4)
MADE = {"command": "python -m engine reproduce", "when": "2026-01-01T00:00:00+00:00", "fingerprint": {"torch": "2"}}


def rows(experiment: Experiment, arm: str, seed: int) -> pa.Table:
    common = dict.fromkeys(SCHEMA.names, 1) | {"experiment": experiment.name, "arm": arm, "seed": seed}
    made = [common | {"round": k, "test_return": k / 10 + seed} for k in range(1, experiment.rounds + 1)]
    return pa.Table.from_pylist(made, SCHEMA)


def put(folder: Path, experiment: Experiment) -> Path:
    place = folder / experiment.name
    asked = begin(experiment)
    replace(asked.planned(asked, range(2)), made=[MADE]).write_definition(place)
    for arm in experiment.arms:
        for seed in range(2):
            Results.write_task(place, rows(experiment, arm.name, seed))
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A campaign of two experiments: of frozenlake two arms, of acrobot one."""
    put(tmp_path / "made", ROBOT)
    put(tmp_path / "made", LAKE)
    return tmp_path / "made"


def redefine(path: Path, change: Change) -> None:
    document = read_json(path)
    assert document is not None
    change(document.values)
    write_json(path, document.values)


def rewrite(path: Path, column: str, values: list[Any]) -> None:
    table, _ = read_results_table(path)
    i = table.schema.get_field_index(column)
    write_results(path, table.set_column(i, table.schema.field(i), pa.array(values, table.schema.field(i).type)))


def only_the_robot_is_shown(folder: Path, line: str) -> None:
    campaign = read_campaign(folder)
    assert list(campaign.experiments) == ["acrobot"]
    assert list(campaign.damaged) == ["frozenlake"]
    assert line in campaign.damaged["frozenlake"]
    assert "\n" not in campaign.damaged["frozenlake"]
    page = render(campaign, summary(campaign))
    assert "Not shown: " in page
    assert "Acrobot-v1" in page
    shown, table = loaders.load_campaign(folder)
    assert (shown.damaged, set(table["experiment"])) == (campaign.damaged, {"acrobot"})


DEFINITIONS: list[Change] = [
    lambda about: about["made"][0].pop("command"),
    lambda about: about["made"][0].update(when=5),
    lambda about: about["made"][0].update(fingerprint=[]),
    lambda about: about.update(made=["by hand"]),
    lambda about: about["seeds"].update(nobody=[1]),
    lambda about: about.update(seeds=[1]),
    lambda about: about["experiment"]["arms"].append({"name": "ppo", "settings": {}}),
    lambda about: about["experiment"]["arms"][1]["settings"].update(filter=[1]),
    lambda about: about["experiment"]["arms"][1]["settings"].update(drop="half"),
    lambda about: about["experiment"].update(rounds=0),
    lambda about: about["experiment"].update(rounds=10**12),
    lambda about: about["experiment"].update(episodes=0),
    lambda about: about["experiment"].update(evaluate_every=0),
    lambda about: about["experiment"].update(name="acrobot"),
]


@pytest.mark.parametrize("change", DEFINITIONS)
def test_a_definition_that_no_campaign_writes_hides_no_other(folder: Path, change: Change) -> None:
    redefine(folder / "frozenlake" / "campaign.json", change)
    only_the_robot_is_shown(folder, "frozenlake/campaign.json is damaged: it does not define a campaign (")


@pytest.mark.parametrize("name", ["all", "courtesy"])
def test_no_experiment_goes_by_a_name_that_stands_for_others(folder: Path, name: str) -> None:
    (folder / "frozenlake").rename(folder / name)
    redefine(folder / name / "campaign.json", lambda about: about["experiment"].update(name=name))
    assert list(read_campaign(folder).damaged) == [name]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("seed", [0, None, 0]),
        ("arm", [None] * 3),
        ("arm", ["nobody"] * 3),
        ("round", [1, None, 3]),
        ("seconds", [1.0, float("nan"), 1.0]),
        ("seconds", [1.0, None, 1.0]),
        ("test_return", [1.0, 1e300, 1.0]),
    ],
)
def test_rows_that_no_campaign_writes_hide_no_other(folder: Path, column: str, values: list[Any]) -> None:
    rewrite(folder / "frozenlake" / "tasks" / "ppo-0.parquet", column, values)
    only_the_robot_is_shown(folder, "frozenlake/tasks/ppo-0.parquet is damaged: ")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("test_return", [None] * 3),
        ("test_return", [1.0, None, 1.0]),
        ("test_return", [1.0, float("nan"), 1.0]),
        ("round", [1, 2, 4]),
        ("round", [1, 2, 2]),
        ("seconds", [0.0, 0.0, 0.0]),
        ("records", [1, 0, 1]),
    ],
)
def test_tasks_that_miss_something_hide_no_other(folder: Path, column: str, values: list[Any]) -> None:
    rewrite(folder / "frozenlake" / "tasks" / "ppo-0.parquet", column, values)
    only_the_robot_is_shown(folder, "frozenlake is damaged: a ")


def test_a_claim_of_many_rounds_is_compared_and_not_listed(folder: Path) -> None:
    """A list of as many rounds as are claimed would take a hundred gigabytes."""
    redefine(folder / "frozenlake" / "campaign.json", lambda about: about["experiment"].update(rounds=2 * 10**9))
    only_the_robot_is_shown(folder, "does not have the rounds 1 to 2000000000")


def test_a_linked_experiment_is_a_line_and_neither_read_nor_written(
    folder: Path, tmp_path: Path, listing: Listing
) -> None:
    (folder / "frozenlake").rename(tmp_path / "elsewhere")
    (folder / "frozenlake").symlink_to(tmp_path / "elsewhere")
    before = listing(tmp_path)
    only_the_robot_is_shown(folder, "frozenlake is a symbolic link; nothing is read or written through it")
    with pytest.raises(DamagedRunError, match="frozenlake is a symbolic link"):
        run_campaign([LAKE], range(3), folder)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("name", ["tasks", "tasks/ppo-0.parquet", "campaign.json"])
def test_a_link_in_an_experiment_is_a_line(folder: Path, tmp_path: Path, name: str, listing: Listing) -> None:
    spot = folder / "frozenlake" / name
    spot.rename(tmp_path / "elsewhere")
    spot.symlink_to(tmp_path / "elsewhere")
    before = listing(tmp_path)
    only_the_robot_is_shown(folder, "is a symbolic link")
    with pytest.raises(DamagedRunError, match="is a symbolic link"):
        run_campaign([LAKE], range(3), folder)
    assert listing(tmp_path) == before


def test_where_nothing_can_be_read_the_old_report_stays(folder: Path) -> None:
    shutil.rmtree(folder / "acrobot")
    report, _ = write_report(read_campaign(folder))
    before = report.read_bytes()
    (folder / "frozenlake" / "campaign.json").write_text("{")
    with pytest.raises(BadInputError, match="holds no experiment that can be read"):
        write_report(read_campaign(folder))
    assert report.read_bytes() == before


def test_the_command_says_what_is_damaged_beside(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "frozenlake" / "campaign.json").write_text("{")
    monkeypatch.setattr(sys, "argv", ["engine"])
    arguments = ("--arms", "ppo", "--rounds", 3, "--episodes", 4, "--seeds", 2, "--out", folder)
    said = command("reproduce", "acrobot", *arguments)
    assert said.code == 0, said.err
    assert "frozenlake/campaign.json is damaged" in said.err
    refused(command("reproduce", "frozenlake", *arguments), "frozenlake/campaign.json is damaged")


# The demonstration of language models.


@pytest.fixture
def demonstration(tmp_path: Path) -> Path:
    results = made_up()
    results.write_definition(tmp_path / "made" / "courtesy")
    results.write_task(tmp_path / "made" / "courtesy", courtesy_rows("clean", "ppo", 0, FAST))
    return tmp_path / "made"


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about["made"][0].pop("command"),
        lambda about: about["seeds"].update(nobody=[1]),
        lambda about: about["plan"]["arms"].append("ppo"),
        lambda about: about["plan"]["arms"].append("nobody"),
        lambda about: about["plan"].update(rounds=10**12),
        lambda about: about["plan"].update(responses=0),
        lambda about: about["plan"]["settings"].update(kl_coef="much"),
    ],
)
def test_a_plan_that_no_campaign_writes_is_one_line(demonstration: Path, change: Change) -> None:
    redefine(demonstration / "courtesy" / "plan.json", change)
    with pytest.raises(DamagedRunError, match=r"courtesy/plan\.json is damaged: it does not define a campaign"):
        courtesy.read_results(demonstration)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("condition", ["dirty"] * 5),
        ("arm", ["nobody"] * 5),
        ("arm", ["clean"] * 5),
        ("seed", [None] * 5),
        ("rude", [None] * 5),
        ("fluency", [float("inf")] * 5),
    ],
)
def test_rows_that_no_demonstration_writes_are_one_line(demonstration: Path, column: str, values: list[Any]) -> None:
    rewrite(demonstration / "courtesy" / "tasks" / "clean-ppo-0.parquet", column, values)
    with pytest.raises(DamagedRunError, match=r"tasks/clean-ppo-0\.parquet is damaged: "):
        courtesy.read_results(demonstration)


def test_a_linked_demonstration_is_neither_read_nor_written(
    demonstration: Path, tmp_path: Path, listing: Listing
) -> None:
    (demonstration / "courtesy").rename(tmp_path / "elsewhere")
    (demonstration / "courtesy").symlink_to(tmp_path / "elsewhere")
    before = listing(tmp_path)
    for action in (
        lambda: courtesy.read_results(demonstration),
        lambda: run_courtesy(made_up().plan, range(3), demonstration),
    ):
        with pytest.raises(DamagedRunError, match="courtesy is a symbolic link"):
            action()
    assert listing(tmp_path) == before


def test_verify_takes_a_folder_with_the_demonstration_alone(command: Command, demonstration: Path) -> None:
    said = command("verify", demonstration)
    assert (said.code, said.err) == (0, "")
    path = demonstration / "courtesy" / "plan.json"
    path.write_text(path.read_text().replace('"rounds": 4', '"rounds": 5', 1))
    outcome = command("verify", demonstration, "--json")
    assert (outcome.code, [d["file"] for d in outcome.json["damaged"]]) == (1, ["courtesy/plan.json"])


def test_what_is_sound_is_read_as_it_was_written(folder: Path) -> None:
    results = Results.read(folder / "frozenlake")
    assert results is not None
    assert results.curves("iif 0.5").tolist() == [[0.1, 0.2, 0.3], [1.1, 1.2, 1.3]]
    assert read_campaign(folder).damaged == {}

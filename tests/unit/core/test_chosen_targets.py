"""Targets by name: on the command line, in plans, in words."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import engine
from engine.cli.options import Action, Observation, OfRound, Records, TargetOption, chosen_target
from engine.core.chosen_targets import named_target
from engine.core.targets.functions import Target, in_words
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.intervention.plan import Intervention
from engine.jobs.interventions import create_job, intervention_id, list_jobs, predicted, read_job
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.store.transfer.export import export_run

SAMPLES = Path(engine.__file__).parents[1] / "sample_runs"
NAMES = {
    "return target": TargetName(),
    "return target over round 2's buffer": TargetName(of_round=2),
    "action target, record 7": TargetName(target="action", about=7),
    "action target, mean of 4 records (3, 7-9)": TargetName(target="action", about=[9, 3, 8, 7, 3]),
    "action target, record 7, action 2": TargetName(target="action", about=7, action=2),
    "action target, state 0.5, 0, 0, 0, 0, 0, 0, 1, action 1": TargetName(
        target="action", observation=[0.5, 0, 0, 0, 0, 0, 0, 1], action=1
    ),
}


@pytest.fixture
def snapshot(lander: Run) -> Snapshot:
    return lander.snapshot(1)


@pytest.mark.parametrize("sentence", NAMES)
def test_a_target_is_called_what_named_it(snapshot: Snapshot, sentence: str) -> None:
    target = named_target(snapshot, NAMES[sentence])
    assert in_words(target) == sentence == NAMES[sentence].sentence()
    assert np.isfinite(engine.influence(snapshot, target, cache=False).influence).all()


def test_a_long_list_of_records_is_cut_at_a_comma() -> None:
    sentence = TargetName(target="action", about=range(0, 2000, 3)).sentence()
    assert sentence == "action target, mean of 667 records (0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, …)"


@pytest.mark.parametrize("sentence", NAMES)
def test_the_arguments_name_the_same_target_again(snapshot: Snapshot, sentence: str) -> None:
    found: list[Target] = []
    app = typer.Typer()

    @app.command()
    def take(
        target: TargetOption = "return",
        of_round: OfRound = None,
        record: Records = None,
        obs: Observation = None,
        action: Action = None,
    ) -> None:
        found.append(chosen_target(snapshot, target, of_round=of_round, record=record, obs=obs, action=action))

    outcome = CliRunner().invoke(app, list(NAMES[sentence].arguments))
    assert outcome.exit_code == 0, shlex.join(NAMES[sentence].arguments)
    assert found[0].describe() == named_target(snapshot, NAMES[sentence]).describe()


def test_no_two_targets_share_their_scores(snapshot: Snapshot) -> None:
    described = [str(named_target(snapshot, name).describe()) for name in NAMES.values()]
    assert len(set(described)) == len(described)
    own = named_target(snapshot, TargetName(of_round=1))
    assert own.describe() == named_target(snapshot).describe(), "the round's own buffer, whatever it is called"


def test_a_later_round_is_a_target_of_its_own(lander: Run, snapshot: Snapshot) -> None:
    later = lander.snapshot(2).buffer
    found = engine.influence(snapshot, named_target(snapshot, TargetName(of_round=2)), "tracin", cache=False)
    expected = engine.influence(snapshot, engine.return_target(snapshot, later), "tracin", cache=False)
    assert np.array_equal(found.influence, expected.influence)
    assert not np.array_equal(found.influence, engine.influence(snapshot, "return", "tracin", cache=False).influence)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (TargetName(of_round=9), "round 9 is not in this run; it has rounds 0 to 2"),
        (TargetName(of_round=3), "3 is the final checkpoint, which has no records"),
        (TargetName(about=3), "belong to the action target"),
        (TargetName(target="action", about=3, of_round=2), "belongs to the return target"),
        (TargetName(target="action"), "needs either a record"),
        (TargetName(target="action", about=[3, 256]), "record 256 is out of range; this round has records 0 to 255"),
        (TargetName(target="action", observation=[1, 2], action=0), "must be 8 finite numbers"),
        (TargetName(target="action", observation=[0] * 8), "needs an action beside it"),
        (TargetName(target="regret"), "unknown target 'regret'; it must be return or action"),
    ],
)
def test_bad_names_are_refused_in_one_line(snapshot: Snapshot, name: TargetName, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as refusal:
        named_target(snapshot, name)
    assert "\n" not in str(refusal.value)


def test_a_thinned_out_round_is_no_target(lander: Run, tmp_path: Path, snapshot: Snapshot) -> None:
    thin = export_run(lander.path, tmp_path / "thin", {1})
    with pytest.raises(BadInputError, match="round 2 keeps only metrics in this run; rounds with records are 1"):
        named_target(thin.snapshot(1), TargetName(of_round=2))
    with pytest.raises(BadInputError, match="only a recorded round knows the others"):
        named_target(snapshot.without([3]), TargetName(of_round=2))


def test_another_runs_buffer_that_does_not_fit_is_refused(snapshot: Snapshot, cartpole: Run) -> None:
    with pytest.raises(
        BadInputError, match=r"observations of this return target have shape \(4,\), those of round 1 \(8,\)"
    ):
        engine.return_target(snapshot, cartpole.snapshot(1).buffer)


def test_a_plan_keeps_its_target(lander: Run, tmp_path: Path) -> None:
    shutil.copytree(lander.path, tmp_path / "run")
    run = engine.open_run(tmp_path / "run")
    snapshot = run.snapshot(1)
    ids = set()
    for name in NAMES.values():
        plan = Intervention(round=1, removed=(3, 5), measured=name)
        assert plan.measured == name
        assert Intervention.from_json(json.loads(json.dumps(plan.to_json()))) == plan
        job, _ = create_job(run, snapshot, plan, predicted(snapshot, plan))
        again = read_job(job.folder)
        assert again is not None
        assert again.plan == plan
        ids.add(job.id)
    assert len(ids) == len(NAMES)


def test_equal_plans_are_equal_however_they_are_written() -> None:
    plans = [
        Intervention.from_json({"round": 1, "removed": [3], "target": "action", "about": a, "action": b})
        for a, b in ((7, 1), ([7], [1.0]))
    ]
    assert plans[0] == plans[1]
    assert [plans[1].to_json()[name] for name in ("about", "action")] == [7, 1]
    assert "of_round" not in plans[0].to_json(), "as plans were before there was such a thing"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([1], "it must be an object"),
        ({"round": 1, "removed": [3], "target": 5}, "target is 5; it must be a text"),
        ({"round": 1, "removed": [3], "about": "12"}, "about is '12'; it must be a whole number or a list or null"),
        ({"round": 1, "removed": [3], "measured": {"target": "action"}}, "unknown field 'measured'"),
        ({"round": 1, "removed": [3], "haste": 2}, "unknown field 'haste'"),
    ],
)
def test_what_is_no_plan_is_refused(values: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Intervention.from_json(values)


def test_a_plan_is_written_as_it_always_was() -> None:
    """Field for field: the names and ids of removals are made of this text."""
    plan = Intervention(round=1, removed=(5, 3), measured=TargetName(target="action", about=(7,)))
    assert json.dumps(plan.to_json()) == (
        '{"round": 1, "removed": [3, 5], "mode": "mask", "orders": 8, "episodes": 64, "continue_rounds": 0, '
        '"target": "action", "about": 7, "action": null}'
    )
    more = replace(plan, continue_rounds=2, seeds=2, measured=TargetName(of_round=4)).to_json()
    assert (more["seeds"], more["of_round"]) == (2, 4)


@pytest.mark.parametrize("sample", ["FrozenLake-v1", "LunarLander-v3"])
def test_interventions_of_before_have_the_same_ids(sample: str) -> None:
    run = engine.open_run(SAMPLES / sample)
    for job in list_jobs(run):
        assert intervention_id(run.snapshot(job.plan.round), job.plan) == job.id


def test_what_another_target_did_is_measured(lander: Run, tmp_path: Path) -> None:
    outcome = engine.retrain(lander, 1, [3, 5], tmp_path / "b", orders=2, episodes=2, of_round=2)
    assert (outcome["target"]["name"], outcome["target"]["of_round"]) == ("return", 2)
    own = engine.retrain(lander, 1, [3, 5], tmp_path / "c", orders=2, episodes=2)
    assert outcome["target"]["counterfactual"]["mean"] != own["target"]["counterfactual"]["mean"]
    assert outcome["counterfactual"] == own["counterfactual"], "what the agent then does is the same"

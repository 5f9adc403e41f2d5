"""Removing sequences and retraining: three arms on the same prompts with the same luck, and the branch that is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from languages import Counted, record_language

import engine
from engine.core.chosen_targets import named_target
from engine.core.replays.replay import intervene
from engine.core.targets.question import TargetName
from engine.errors import BadInputError
from engine.intervention.plan import Intervention
from engine.intervention.retrain import carry_out
from engine.jobs.interventions import create_job, list_jobs, predicted
from engine.jobs.work import work
from engine.kinds.language.removals import random_sequences
from engine.store import Run, open_run, read_json, verify_run

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return record_language(tmp_path_factory.mktemp("retraining"))


@pytest.fixture(scope="module")
def groups(run: Run) -> Run:
    return record_language(run.path.parent, "groups", algorithm="grpo", group_size=3)


def plan(**changes: object) -> Intervention:
    return Intervention(
        **{
            "round": 0,
            "removed": (2, 5),
            "orders": 2,
            "episodes": 8,
            "measured": TargetName(target="sequence"),
            **changes,
        }
    )


def test_arms_are_compared_and_the_branch_is_the_replay_without_the_sequences(run, tmp_path):
    result = carry_out(run, plan(), tmp_path / "branch")
    assert read_json(tmp_path / "branch" / "result.json").values == json.loads(json.dumps(result.to_json()))
    assert (result["removed"], result["records"], result["same_machine"]) == ([2, 5], 12, True)
    assert [result[arm]["episodes"] for arm in ("original", "counterfactual", "control")] == [8, 8, 8]
    assert result["verdict"] in ("helps", "hurts", "within noise")
    branch = open_run(tmp_path / "branch")
    assert verify_run(branch.path) == []
    assert branch.manifest.parent.removed == (2, 5)
    assert np.flatnonzero(~branch.snapshot(0).buffer.kept).tolist() == [2, 5]
    snapshot = run.snapshot(0)
    without = engine.replay(snapshot, [2, 5])
    for name, tensor in without.checkpoint.items():
        assert branch.checkpoint(1)[name].tobytes() == tensor.tobytes()
    target = named_target(snapshot, "sequence")
    original, gone = (float(target.value(engine.replay(snapshot, drop).policy).detach()) for drop in ((), (2, 5)))
    values = result["target"]["order_values"]
    assert values["original"][0] == pytest.approx(original, rel=1e-5)
    assert values["counterfactual"][0] == pytest.approx(gone, rel=1e-5)
    with pytest.raises(BadInputError, match="is there already"):
        carry_out(run, plan(), tmp_path / "branch")


def test_a_branch_trains_on_as_the_run_would_have_without_the_sequences(run, tmp_path):
    result = carry_out(run, plan(continue_rounds=1), tmp_path / "branch", given={"reward_model": Counted()})
    curves = result["curves"]
    assert [[point["round"] for point in curves[arm]] for arm in ("original", "counterfactual", "control")] == [[1]] * 3
    assert curves["original"][0]["mean_return"] == pytest.approx(run.rounds[1].metrics["mean_return"])
    for place in (tmp_path / "branch", tmp_path / "branch" / "control"):
        branch = open_run(place)
        assert branch.stored_rounds == [0, 1]
        assert branch.config.rounds == 2
        followed = engine.replay(branch.snapshot(1)).checkpoint
        assert all(branch.checkpoint(2)[name].tobytes() == tensor.tobytes() for name, tensor in followed.items())
    assert branch.snapshot(1).buffer.prompt == run.snapshot(1).buffer.prompt


def test_data_are_collected_anew_with_several_seeds(run, tmp_path):
    result = carry_out(run, plan(continue_rounds=1, seeds=2, mode="rebatch"), tmp_path / "branch")
    again = result["recollected"]
    assert (again["seeds"], again["rounds"]) == (2, [1])
    branch = open_run(tmp_path / "branch")
    [point] = again["curves"]["counterfactual"]
    assert point["seeds"][0] == pytest.approx(branch.rounds[1].metrics["mean_return"])
    [point] = again["curves"]["original"]
    assert point["seeds"][0] == pytest.approx(run.rounds[1].metrics["mean_return"])
    assert point["seeds"][1] != pytest.approx(point["seeds"][0])
    assert again["evaluation"]["original"]["episodes"] == 8
    assert again["verdict"] == again["evaluation"]["verdict"]


def test_nothing_removed_by_the_control_makes_a_whole_group_disappear(groups):
    snapshot = groups.snapshot(0)
    removal = plan(removed=(0, 1, 3, 4, 6, 7, 9, 10))
    for order in range(20):
        drawn = random_sequences(snapshot, removal.removed, order)
        assert len(set(drawn)) == 8
        left = np.delete(snapshot.buffer.group, drawn)
        assert sorted(set(left)) == [0, 1, 2, 3]
    intervene(snapshot, drawn)


def test_a_job_is_carried_out_by_its_worker_once(run):
    snapshot = run.snapshot(0)
    removal = plan(removed=(7,))
    about = predicted(snapshot, removal)
    assert np.isfinite(about["summed_influence"])
    job, begin = create_job(run, snapshot, removal, about)
    assert (begin, job.state) == (True, "queued")
    said: list[str] = []
    result = work(job.folder, lambda doing, done, total: said.append(doing))
    assert "control, minibatch order 2 of 2" in said
    [done] = list_jobs(run)
    assert (done.state, done.result) == ("done", result)
    assert create_job(run, snapshot, removal, about)[1] is False
    assert work(job.folder) == result


def test_what_can_not_be_retrained_is_said_in_one_line(run, groups, tmp_path):
    for of, changes, message in (
        (run, {"removed": range(12)}, "all 12 records would be removed"),
        (run, {"removed": (12,)}, "record 12 is out of range; this round has records 0 to 11"),
        (run, {"round": 5}, "round 5 is not in this run"),
        (run, {"measured": TargetName(target="policy")}, "unknown target 'policy'"),
        (groups, {"removed": (3, 4, 5)}, "all responses to prompt 1 would be removed"),
    ):
        with pytest.raises(BadInputError, match=message):
            carry_out(of, plan(**changes), tmp_path / "branch")
        assert not Path(tmp_path / "branch").exists()

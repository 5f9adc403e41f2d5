"""A behaviour over the rounds of a run as one whole, and what is said where rounds are missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from worlds import record

import engine
from engine.analysis.behaviour import Behaviour, as_behaviour, behaviour, policy_curve
from engine.analysis.formation import formation
from engine.errors import BadInputError
from engine.store.read import Run
from engine.store.transfer.export import export_run


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    """A copy whose cache a test may fill."""
    shutil.copytree(cartpole.path, tmp_path / "run")
    return engine.open_run(tmp_path / "run")


def test_a_damaged_round_is_passed_by_and_named(run: Run) -> None:
    target = engine.action_target(run.snapshot(2), record=3)
    damaged = next((run.path / "data").glob("000001-records-*"))
    damaged.write_bytes(damaged.read_bytes()[:-7])
    found = behaviour(run, target)
    assert [item.round for item in found.formation] == [0, 2]
    [note] = found.notes
    assert note.startswith("Round 1 is left out: ")
    assert damaged.name in note


def test_behaviour_as_one_whole(run: Run) -> None:
    snapshot = run.snapshot(1)
    target = engine.action_target(snapshot, record=3)
    reports = []
    found = engine.behaviour(run, target, report=lambda *report: reports.append(report))
    assert isinstance(found, Behaviour)
    assert found.checkpoints == (0, 1, 2, 3)
    assert found.probability is not None
    assert found.probability[1] == pytest.approx(np.exp(snapshot.buffer.log_prob[3]), rel=1e-5)
    assert reports[-1] == ("the records of every round", 3, 3)
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said["rounds"] == [0, 1, 2]
    assert said["roughness"] == [item.roughness for item in found.formation]
    assert len(said["make_up"]["similar state"]["top"]) == 3
    assert said["phases"]["saturation"].startswith("not clear: 3 rounds")


def test_an_action_that_is_never_taken(run: Run) -> None:
    target = engine.action_target(run.snapshot(1), observation=[50.0, 50, 5, 50], action=0)
    curve = policy_curve(run, target)
    list(curve)
    curve.found = dict.fromkeys(curve.found, (0.0, 1.0))
    formed = formation(run, target)
    list(formed)
    assert any("as good as never takes the action" in note for note in as_behaviour(curve, formed, target).notes)


def test_thinned_rounds_are_said(run: Run, tmp_path: Path) -> None:
    thin = export_run(run.path, tmp_path / "thin", {0, 2})
    found = behaviour(thin, engine.action_target(thin.snapshot(0), record=3))
    assert [item.round for item in found.formation] == [0, 2]
    assert any("Only 2 of the run's 3 rounds keep their records (0, 2)" in note for note in found.notes)


def test_several_records_are_no_behaviour(run: Run) -> None:
    with pytest.raises(BadInputError, match="one state and action"):
        behaviour(run, engine.action_target(run.snapshot(1), record=[3, 4]))


def test_images_and_continuous_actions(tmp_path: Path) -> None:
    images = record(
        tmp_path / "grid", "MiniGrid-Empty-8x8-v0", rounds=2, n_envs=2, n_steps=40, batch_size=16, n_epochs=2
    )
    found = behaviour(images, engine.action_target(images.snapshot(1), record=3))
    assert "state" not in found.formation[0].groups
    moving = record(tmp_path / "pendulum", "Pendulum-v1", rounds=2, n_envs=2, n_steps=40, batch_size=16, n_epochs=2)
    found = behaviour(moving, engine.action_target(moving.snapshot(1), record=3))
    assert found.probability is None
    assert found.policy.shape == (3, 2)
    assert "action" not in found.formation[0].groups
    json.dumps(found.to_json(), allow_nan=False)

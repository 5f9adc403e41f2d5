"""Another trainer's round with other settings in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.core.kind import kind_of
from engine.errors import BadInputError

SAMPLES = Path(__file__).resolve().parents[4] / "sample_runs"


@pytest.fixture(scope="module")
def snapshot() -> Any:
    run = engine.open_run(SAMPLES / "CliffWalking-v1")
    return run.snapshot(run.stored_rounds[1])


def test_settings_are_those_in_force(snapshot: Any) -> None:
    kind = kind_of(snapshot)
    scheduled = snapshot.changed(in_force={**snapshot.in_force, "learning_rate": 0.0})
    assert kind.setting(scheduled, "learning_rate") == 0
    assert kind.setting(snapshot, "clip_range") == snapshot.in_force["loss"]["clip"]
    assert kind.setting(snapshot, "n_epochs") == snapshot.config.n_epochs


def test_they_reach_the_optimizer_the_loss_and_the_minibatches(snapshot: Any) -> None:
    kind = kind_of(snapshot)
    cut = snapshot.changed(config=replace(snapshot.config, minibatch_sizes=(100, 50)))
    other = kind.with_settings(cut, {"learning_rate": 0.0, "clip_range": 0.05, "batch_size": 512, "n_epochs": 2})
    agent = kind.agent(other)
    assert agent.optimizer.param_groups[0]["lr"] == 0
    assert agent.loss.clip == 0.05
    assert agent.loss.vf_coef == kind.agent(snapshot).loss.vf_coef
    assert other.config.cuts(1024) == [(0, 512), (512, 1024)]
    assert len(other.minibatches) == 2
    assert snapshot.in_force["loss"]["clip"] != 0.05


@pytest.mark.parametrize("loss", ["own", {"clip": None}])
def test_a_loss_without_a_clip_has_none_to_change(snapshot: Any, loss: Any) -> None:
    theirs = snapshot.changed(in_force={**snapshot.in_force, "loss": loss})
    with pytest.raises(BadInputError, match="no clip that is known here"):
        kind_of(theirs).with_settings(theirs, {"clip_range": 0.1})

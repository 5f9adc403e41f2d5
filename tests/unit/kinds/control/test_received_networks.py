"""A received run of a control task whose settings describe other networks than its checkpoints hold."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, refused
from received import received

from engine.config import TrainConfig
from engine.errors import BadInputError, DamagedRunError
from engine.kinds.control.agents import restore_agent, restore_learner
from engine.store.read import Run

COMMANDS = {
    "influence": ("--round", 1, "--target", "return"),
    "tracin": ("--round", 1, "--target", "return", "--estimator", "tracin"),
    "behaviour": ("--record", "1:3"),
    "diagnose": ("--round", 1, "--rollouts", 0),
    "retrain": ("--round", 1, "--drop-bottom", 1, "--orders", 2, "--evaluate", 2),
    "validate": ("--round", 1, "--subsets", 3, "--orders", 1, "--executor", "inline"),
    "interventions": ("--orders", 2, "--evaluate", 2, "--executor", "inline"),
}


@pytest.mark.parametrize("command_name", COMMANDS)
@pytest.mark.parametrize("hidden", [[64], [64, 65], [64, 64, 64], [16384] * 32])
def test_networks_that_the_checkpoint_does_not_have_are_one_line(
    command: Command, cartpole: Run, tmp_path: Path, command_name: str, hidden: list[int]
) -> None:
    run = received(cartpole.path, tmp_path / "run", lambda manifest: manifest["config"].update(hidden=hidden))
    begun = time.process_time()
    outcome = command({"tracin": "influence"}.get(command_name, command_name), run, *COMMANDS[command_name])
    assert time.process_time() - begun < 5, "no network of that size was built"
    assert (outcome.code, outcome.out) == (2, "")
    said = [line for line in outcome.err.splitlines() if not re.fullmatch(r".*\(\d+/\d+\)", line)]
    (line,) = [line for line in said if not line.startswith("note: ")]
    assert line.startswith("error: ")
    assert "the checkpoint does not fit the networks that run.json describes" in line


@pytest.mark.parametrize("hidden", [[1] * 5000, [10**9], [0]])
def test_networks_beyond_all_measure_are_refused_when_the_run_is_opened(
    command: Command, cartpole: Run, tmp_path: Path, hidden: list[int]
) -> None:
    run = received(cartpole.path, tmp_path / "run", lambda manifest: manifest["config"].update(hidden=hidden))
    refused(command("show", run), "run.json can't be understood: config.hidden is", "at most 32 widths from 1 to 16384")


def test_the_stated_limits_hold_for_training_too() -> None:
    with pytest.raises(
        BadInputError, match=r"hidden is \(8, 8, [^\n]*\); it must be a list of at most 32 widths from 1 to 16384"
    ):
        TrainConfig(env_id="CartPole-v1", hidden=(8,) * 33)
    with pytest.raises(BadInputError, match="n_epochs is 10001; it must be from 1 to 10,000"):
        TrainConfig(env_id="CartPole-v1", n_epochs=10_001)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("optimizer/exp_avg/actor.0.weight", np.zeros((3, 3), np.float32)),
        ("optimizer/exp_avg/other", np.zeros(3, np.float32)),
        ("parameter/actor.0.weight", np.zeros((64, 4), np.int64)),
        ("parameter/other", np.zeros(3, np.float32)),
    ],
)
def test_a_checkpoint_of_other_tensors_is_damaged(cartpole: Run, name: str, tensor: Any) -> None:
    snapshot = cartpole.snapshot(1)
    checkpoint = {**snapshot.checkpoint, name: tensor}
    spaces = snapshot.observation_space, snapshot.action_space
    for restore in (restore_agent, restore_learner):
        with pytest.raises(DamagedRunError, match="does not fit the networks"):
            restore(snapshot.config, *spaces, checkpoint)

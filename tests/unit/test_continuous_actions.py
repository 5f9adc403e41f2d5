"""The whole chain from the command line where actions are continuous."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Command, refused

import engine

SMALL = ("--rounds", 2, "--set", "n_steps=48", "--set", "n_epochs=2", "--set", "n_envs=2")
ACTIONS = {"Pendulum-v1": "-0.3", "BipedalWalker-v3": "0.1,-0.2,0.3,0", "HalfCheetah-v5": "0,0.1,0.2,-0.1,1.5,0"}


@pytest.mark.long
@pytest.mark.parametrize("name", ACTIONS)
def test_train_verify_influence_retrain(command: Command, tmp_path: Path, name: str) -> None:
    out = tmp_path / "run"
    normalized = ("--set", "normalize_observation=true") if name == "HalfCheetah-v5" else ()
    assert command("train", name, "--preset", "default", "--out", out, *SMALL, *normalized).code == 0
    assert command("verify", out).code == 0
    about = (out, "--round", 1, "--json")
    assert np.any(command("influence", *about).json["influence"])
    own = command("influence", *about, "--target", "action", "--record", 5).json
    other = command("influence", *about, "--target", "action", "--record", 5, f"--action={ACTIONS[name]}").json
    assert other["observation"] == own["observation"]
    assert other["action"][0] == pytest.approx([float(number) for number in ACTIONS[name].split(",")])
    assert other["influence"] != own["influence"]
    shown = command("influence", out, "--round", 1)
    assert shown.code == 0
    arguments = ("--drop-bottom", 0.5, "--orders", 2, "--evaluate", 2, "--continue-rounds", 1)
    outcome = command("retrain", *about, *arguments, "--out", tmp_path / "without").json
    assert outcome["verdict"]
    assert engine.verify_run(tmp_path / "without") == []
    assert engine.open_run(tmp_path / "without").stored_rounds == [1, 2]


def test_an_action_that_does_not_fit(command: Command, tmp_path: Path) -> None:
    assert command("train", "Pendulum", "--preset", "default", "--out", tmp_path / "run", *SMALL).code == 0
    about = (tmp_path / "run", "--round", 0, "--target", "action", "--record", 5)
    refused(command("influence", *about, "--action", "1,2"), "1 finite numbers", "torque")
    refused(command("influence", *about, "--action", "torque"), "numbers separated by commas")

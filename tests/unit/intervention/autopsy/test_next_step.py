"""What is to be tried next is a command that can be pasted."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import engine
from engine import arguments, envs
from engine.intervention.autopsy.next_step import next_step
from engine.store.read import Run

SAMPLES = Path(__file__).resolve().parents[4] / "sample_runs"


@pytest.mark.parametrize(
    ("verdict", "changed"),
    [("order", {"batch_size": 64}), ("data", {"n_steps": 140}), ("step", {"learning_rate": 0.25})],
)
def test_the_training_again_with_one_setting_changed(cartpole: Run, verdict: str, changed: dict[str, float]) -> None:
    quarter = {"learning_rate": cartpole.config.learning_rate / 4} if verdict == "step" else {}
    words = shlex.split(next_step(cartpole, cartpole.snapshot(1), verdict, False, quarter))  # type: ignore[arg-type]
    options = list(zip(words[5::2], words[6::2], strict=True))
    assert words[:5] == ["python", "-m", "engine", "train", "CartPole-v1"]
    settings = dict(arguments.setting(value) for name, value in options if name == "--set")
    named = {name.lstrip("-"): int(value) for name, value in options if name in ("--seed", "--rounds")}
    if verdict == "step":
        changed = {"learning_rate": cartpole.config.learning_rate * changed["learning_rate"]}
    assert envs.with_settings("CartPole-v1", dict(options)["--preset"], {**settings, **named}) == replace(
        cartpole.config, **changed
    )


def test_a_folder_of_any_name_stays_one_word(cartpole: Run, tmp_path: Path) -> None:
    shutil.copytree(cartpole.path, tmp_path / "a; rm -rf b")
    run = engine.open_run(tmp_path / "a; rm -rf b")
    assert shlex.split(next_step(run, run.snapshot(1), "not real", False))[-1] == str(run.path)
    assert shlex.split(next_step(run, run.snapshot(1), "critic", True))[-2:] == ["--round", "0"]
    assert next_step(run, run.snapshot(0), "critic", True) == ""
    assert next_step(run, run.snapshot(1), "unexplained", False) == ""
    assert shlex.split(next_step(run, run.snapshot(1), "records", False))[3:] == [
        "diagnose", str(run.path), "--round", "1", "--estimator", "tracin_adam",
    ]  # fmt: skip


def test_another_trainers_run_is_not_trained_here() -> None:
    run = engine.open_run(SAMPLES / "CliffWalking-v1")
    said = next_step(run, run.snapshot(3), "data", False)
    assert said == f"n_steps={2 * run.config.n_steps}  # in the training that made this run"

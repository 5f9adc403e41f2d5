"""`python -m engine envs` and `train`: what they print, their JSON, and settings that are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Command, Listing, refused
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

import engine
from engine.envs import CATALOGUE

USUAL = ("--preset", "default")


def test_envs(command: Command) -> None:
    found = command("envs", "--json").json
    assert [entry["env_id"] for entry in found] == list(CATALOGUE)
    assert all(entry["description"] and "default" in entry["presets"] for entry in found)
    table = command("envs")
    assert table.code == 0
    assert "LunarLander-v3" in table.out
    assert "learning_rate=0.001" in table.out


def test_train_records_and_shows_each_round(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    settings = ("--set", "n_steps=64", "--set", "n-epochs=2", "--set", "hidden=[16]", "--set", "target_kl=0.5")
    outcome = command("train", "CartPole-v1", *USUAL, "--rounds", 2, "--seed", 3, "--out", out, *settings)
    assert outcome.code == 0
    assert [line.split(":")[0] for line in outcome.err.splitlines()[:2]] == ["round 0", "round 1"]
    run = engine.open_run(out)
    assert run.config == engine.preset(
        "CartPole-v1", "default", rounds=2, seed=3, n_steps=64, n_epochs=2, hidden=[16], target_kl=0.5
    )
    assert run.stored_rounds == [0, 1]
    assert run.final is not None
    assert engine.verify_run(out) == []


def test_train_with_a_preset(command: Command, tmp_path: Path) -> None:
    small = ("--set", "n_steps=16", "--set", "n_envs=2")
    assert (
        command("train", "CartPole-v1", "--preset", "tuned", "--rounds", 1, "--out", tmp_path / "r", *small).code == 0
    )
    config = engine.open_run(tmp_path / "r").config
    assert (config.gae_lambda, config.n_envs, config.n_steps) == (0.8, 2, 16)
    assert command("train", "CartPole-v1", "--rounds", 1, "--out", tmp_path / "usual", *small).code == 0
    assert engine.open_run(tmp_path / "usual").config == config, "it is the default where there is one"


def test_train_resumes(command: Command, tmp_path: Path) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=3, n_steps=32)
    snapshots = engine.rounds(config, tmp_path / "run")
    next(snapshots), next(snapshots)
    snapshots.close()
    arguments = ("train", "CartPole-v1", *USUAL, "--rounds", 3, "--set", "n_steps=32", "--out", tmp_path / "run")
    refused(command(*arguments), "holds a run already", "--resume")
    outcome = command(*arguments, "--resume")
    assert outcome.code == 0
    assert "round 0" not in outcome.err
    assert engine.open_run(tmp_path / "run").stored_rounds == [0, 1, 2]


def test_train_keeps_what_it_is_told(command: Command, tmp_path: Path) -> None:
    arguments = ("train", "CartPole-v1", *USUAL, "--rounds", 6, "--set", "n_steps=32", "--out", tmp_path / "run")
    assert command(*arguments, "--keep", "every=4,last=1,around=0").code == 0
    run = engine.open_run(tmp_path / "run")
    assert {0, 4, 5} <= {*run.stored_rounds} < {*range(6)}
    assert engine.verify_run(run.path) == []


def test_unknown_environment(command: Command, tmp_path: Path, listing: Listing) -> None:
    refused(command("train", "CartPole-v0", "--out", tmp_path / "r"), "out of date", "did you mean 'CartPole-v1'")
    refused(command("train", "os:system-v0", "--out", tmp_path / "r"), "unknown environment", "no colon", "--import")
    refused(command("train", "LunarLandr", "--out", tmp_path / "r"), "did you mean 'LunarLander-v3'", "--import")
    refused(command("train", "Blackjack-v1", "--out", tmp_path / "r"), "Tuple", "is not supported")
    assert listing(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--preset", "fast"), ("no preset 'fast'", "default")),
        (("--set", "n_stepz=3"), ("unknown setting 'n_stepz'", "n_steps")),
        (("--set", "n_steps"), ("has no value", "NAME=VALUE")),
        (("--set", "n_steps=many"), ("n_steps is 'many'", "number")),
        (("--set", "gamma=2"), ("gamma is 2", "[0, 1]")),
        (("--rounds", 0), ("rounds is 0", "at least 1")),
        (("--rounds", "two"), ("--rounds", "integer", "--help")),
        (("--seed", -1), ("seed is -1", "from 0 to")),
        (("--sed", 1), ("--sed", "--help")),
        (("--resume",), ("does not exist",)),
        (("--keep", "all"), ("--keep 'all' can't be read", "every=100,last=20,around=3")),
        (("--keep", "first=3"), ("unknown part of --keep 'first'", "around, every, last")),
        (("--keep", "last=2,around=2"), ("around=2", "last=5 or more")),
    ],
)
def test_bad_settings(
    command: Command, arguments: tuple[object, ...], words: tuple[str, ...], tmp_path: Path, listing: Listing
) -> None:
    refused(command("train", "CartPole-v1", *USUAL, "--out", tmp_path / "r", *arguments), *words)
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("setting", ["hidden=64", "env_id=Acrobot-v1", "name=tuned", "hidden=[4.5]"])
def test_settings_that_end_in_a_traceback(command: Command, setting: str, tmp_path: Path, listing: Listing) -> None:
    refused(command("train", "CartPole-v1", *USUAL, "--rounds", 1, "--out", tmp_path / "r", "--set", setting))
    assert listing(tmp_path) == {}


def test_a_seed_that_is_set_counts(command: Command, tmp_path: Path) -> None:
    small = ("--rounds", 1, "--set", "n_steps=16")
    assert command("train", "CartPole-v1", *USUAL, "--out", tmp_path / "r", *small, "--set", "seed=5").code == 0
    assert engine.open_run(tmp_path / "r").config.seed == 5


def test_second_writer(command: Command, tmp_path: Path, listing: Listing) -> None:
    config = engine.preset("CartPole-v1", "default", rounds=2, n_steps=32)
    snapshots = engine.rounds(config, tmp_path / "run")
    next(snapshots), next(snapshots)
    before = listing(tmp_path)
    arguments = ("train", "CartPole-v1", *USUAL, "--rounds", 2, "--set", "n_steps=32", "--out", tmp_path / "run")
    refused(command(*arguments, "--resume"), "being written by another process")
    refused(command(*arguments), "holds a run already")
    assert listing(tmp_path) == before
    assert command("show", tmp_path / "run", "--json").json["committed_rounds"] == 1
    assert len(list(snapshots)) == 0
    assert engine.verify_run(tmp_path / "run") == []


def test_drop_without_a_filter_is_refused(command: Command, tmp_path: Path) -> None:
    outcome = command("train", "CartPole-v1", *USUAL, "--drop", 0.3, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "name one with --filter" in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["observation", "reward"])
def test_not_a_number_stops_the_training(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """In the second of two rounds of 64 records: the message names round and step, and the first round is whole."""
    honest, steps = CartPoleEnv.step, iter(range(1000))

    def step(env: CartPoleEnv, action: int) -> Any:
        observation, reward, *rest = honest(env, action)
        if next(steps) < 64 + 20:
            return observation, reward, *rest
        return (observation * np.nan, reward, *rest) if kind == "observation" else (observation, np.nan, *rest)

    monkeypatch.setattr(CartPoleEnv, "step", step)
    small = ("--set", "n_steps=64", "--set", "n_epochs=1", "--rounds", 2)
    outcome = command("train", "CartPole-v1", *USUAL, *small, "--out", tmp_path / "run")
    assert outcome.code != 0
    assert "NaN or infinity at step 20 of round 1; earlier rounds are intact" in outcome.err
    assert "Traceback" not in outcome.err
    assert len(engine.open_run(tmp_path / "run").rounds) == 1
    assert engine.verify_run(tmp_path / "run") == []


@pytest.mark.filterwarnings("error")
def test_an_update_that_blows_up_stops_the_training(command: Command, tmp_path: Path) -> None:
    small = ("--set", "n_steps=64", "--set", "max_grad_norm=null", "--set", "optimizer=sgd", "--rounds", 2)
    outcome = command("train", "CartPole-v1", *USUAL, *small, "--set", "learning_rate=1e30", "--out", tmp_path / "run")
    assert outcome.code != 0
    assert "the update of round 0 made parameters NaN or infinite; earlier rounds are intact" in outcome.err
    assert "Traceback" not in outcome.err
    assert engine.open_run(tmp_path / "run").rounds == []

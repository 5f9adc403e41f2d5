"""An autopsy of every kind of run: of an update that changes nothing, all answers are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from languages import GRPO, record_language
from stable_baselines3 import PPO
from toy_kind import ToySettings

import engine
from engine.config import TrainConfig
from engine.recording import sb3
from engine.store.read import Run

NOTHING = 1e-30
"""A learning rate with which no parameter but a 0 moves."""


def control(path: Path) -> Run:
    return engine.train(engine.preset("CartPole-v1", rounds=2, n_steps=64, n_epochs=1, learning_rate=NOTHING), path)


def recorded(path: Path) -> Run:
    with sb3.Recorder(path) as recorder:
        model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, n_epochs=1, learning_rate=NOTHING, seed=0, device="cpu")
        model.learn(2 * 64, callback=recorder)
    return engine.open_run(path)


def toy(path: Path) -> Run:
    config = TrainConfig(env_id="bandit", rounds=2, n_steps=48, batch_size=16, learning_rate=NOTHING, path="torch")
    return engine.train(ToySettings(config), path)


def language(algorithm: str) -> Callable[[Path], Run]:
    changes = GRPO if algorithm == "grpo" else {}
    return lambda path: record_language(path.parent, path.name, learning_rate=NOTHING, **changes)


@pytest.mark.parametrize(
    ("make", "watched"),
    [(control, 1), (recorded, 1), (toy, 0), (language("ppo"), 0), (language("grpo"), 0)],
    ids=["control", "recorded", "toy", "language PPO", "language GRPO"],
)
def test_an_update_that_changes_nothing(tmp_path: Path, make: Callable[[Path], Run], watched: int) -> None:
    found = engine.autopsy(make(tmp_path / "run"), 1, episodes=8)
    assert [each for each in found.checks if each.ok is False] == []
    assert {each.name: each.ok for each in found.checks}["replay"] is True
    assert found.real is not None
    assert tuple(found.real.change) == (0, 0, 0)
    assert found.real.before == found.real.after
    assert (found.verdict, found.arms, found.failed) == ("not real", (), ())
    assert len(found.watch) == watched
    assert all("the two policies return the same" in each.why for each in found.watch)

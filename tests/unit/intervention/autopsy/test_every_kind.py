"""An autopsy of every kind of run: of an update that changes nothing, all answers are known."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from languages import GRPO, record_language
from stable_baselines3 import PPO
from toy_kind import ToySettings

import engine
from engine.config import TrainConfig
from engine.core.kind import kind_of
from engine.intervention.autopsy.html_file import render
from engine.recording import sb3
from engine.store.read import Run

NOTHING = 1e-30
"""A learning rate with which no parameter but a 0 moves."""


def control(path: Path) -> Run:
    return engine.train(
        engine.preset("CartPole-v1", "default", rounds=2, n_steps=64, n_epochs=1, learning_rate=NOTHING), path
    )


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
    assert (len(found.watch), found.read) == (watched, ())
    assert all("the two policies return the same" in each.why for each in found.watch)


@pytest.mark.parametrize("algorithm", ["ppo", "grpo"])
def test_without_its_reward_model_a_language_models_round_is_asked_about_tokens(tmp_path: Path, algorithm: str) -> None:
    run = record_language(tmp_path, "run", **(GRPO if algorithm == "grpo" else {}))
    shutil.rmtree(tmp_path / "reward")
    found = engine.autopsy(run, 0)
    assert (found.verdict, found.real, found.watch, len(found.read)) == ("unexplained", None, (), 3)
    assert "can't be measured here: " in found.sentence
    assert "reward" in found.unplayed
    recorded, *others = found.on_records or ()
    assert {each.round for each in (recorded, *others)} == {1}
    assert len(others) >= 1
    later, kind = run.snapshot(1), kind_of(run.snapshot(0))
    before, after = (kind.policy(run.snapshot(k)) for k in (0, 1))
    target = kind.return_target(run.snapshot(0), later.buffer)
    moved = float(target.value(after).detach()) - float(target.value(before).detach())
    assert recorded.numbers["return_target"].value == pytest.approx(moved, rel=1e-4, abs=1e-7)
    said = [kind.log_probs_by(policy, later) for policy in (before, after)]
    good = later.buffer.advantage[later.buffer.mask] > 0
    assert recorded.numbers["log_prob_positive"].value == pytest.approx((said[1] - said[0])[good].mean(), abs=1e-6)
    np.testing.assert_allclose(said[1], later.buffer.log_prob[later.buffer.mask], atol=1e-5)
    assert "kl" not in recorded.numbers
    own, mask = run.snapshot(0), run.snapshot(0).buffer.mask
    then, now = (kind.log_probs_by(policy, own) for policy in (before, after))
    moved = np.bincount(own.buffer.record_of_token[mask], now - then, len(own.buffer))
    assert [each.moved for each in found.read] == pytest.approx([moved[each.record] for each in found.read], abs=1e-5)
    assert (found.read[0].moved, found.read[-1].moved) == pytest.approx((moved.min(), moved.max()), abs=1e-5)
    page = render(run, found)
    assert found.read[0].sentence in page
    assert f"response: {own.buffer.response[found.read[0].record][:5]}" in page

"""A world of one's own under a name: what its author writes, and what a run in it is like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from languages import PROMPTS, write_models
from worlds import same_tensors

import engine
from engine import named_worlds
from engine.config_language import LanguageConfig
from engine.errors import BadInputError
from engine.kinds.language.flips import FlippedRewards
from engine.kinds.language.reward_model import RewardModel
from engine.store.snapshot import Float32s

pytestmark = pytest.mark.long


class Length:
    """Long responses are worth more; beside it, how many words each has."""

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> dict[str, Float32s]:
        letters, words = ([len(part) for part in parts] for parts in (responses, map(str.split, responses)))
        return {"reward": np.float32(letters) + 1, "words": np.float32(words)}


class Small:
    """The tiny models of these tests, rewarded by length."""

    settings: Mapping[str, Any] = {
        **{"rounds": 1, "path": "torch", "n_steps": 10, "batch_size": 5, "n_epochs": 1, "learning_rate": 3e-3},
        **{"policy": "small", "reward": "small", "prompts": "small", "validation_prompts": 2, "max_new_tokens": 6},
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def policy(self) -> Path:
        return self.folder / "policy"

    def reward(self, language: LanguageConfig, received: bool) -> RewardModel:
        return Length()

    def prompts(self, rng: np.random.Generator, n: int) -> list[str]:
        return [PROMPTS[i] for i in rng.integers(len(PROMPTS), size=n)]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setattr(named_worlds, "_WORLDS", dict(named_worlds._WORLDS))
    write_models(tmp_path / "models")
    world = Small(tmp_path / "models")
    named_worlds.register("small", world)
    return world


def test_a_run_in_a_registered_world_has_its_settings_prompts_and_rewards(small: Small, tmp_path: Path) -> None:
    run = engine.train(engine.language_settings("small", {}), tmp_path / "run")
    snapshot = run.snapshot(0)
    assert (run.config.env_id, run.config.n_steps) == ("small", 10)
    assert set(snapshot.buffer.prompt) <= set(PROMPTS)
    assert snapshot.buffer.reward.tolist() == [len(text) + 1 for text in snapshot.buffer.response]
    assert list(snapshot.buffer.reward_parts) == ["model", "words"]
    replayed = engine.replay(snapshot).checkpoint
    same_tensors(replayed, {name: run.checkpoint(1)[name] for name in replayed})


def test_faults_are_planted_in_the_training_rewards_of_any_named_world(small: Small, tmp_path: Path) -> None:
    plain = engine.train(engine.language_settings("small", {}), tmp_path / "plain").snapshot(0)
    faulty = engine.train(engine.language_settings("small", {"flip": 0.3}), tmp_path / "faulty").snapshot(0)
    assert list(faulty.buffer.reward_parts) == ["model", "words", "flipped"]
    flipped = faulty.buffer.reward_parts["flipped"] == 1
    assert flipped.sum() == 3
    assert faulty.buffer.response == plain.buffer.response
    assert (faulty.buffer.reward_parts["model"] == plain.buffer.reward).all()
    assert (faulty.buffer.reward == np.where(flipped, -plain.buffer.reward, plain.buffer.reward)).all()
    assert (faulty.validation.reward > 0).all()


def test_flips_are_a_wrapper_of_any_reward() -> None:
    scores = FlippedRewards(Length(), 0.5, np.random.default_rng(0)).score(["so"] * 4, ["glad", "so sad", ".", "here"])
    assert scores["model"].tolist() == [5, 7, 2, 5]
    assert (scores["reward"] == np.where(scores["flipped"], -scores["model"], scores["model"])).all()
    assert scores["flipped"].sum() == 2


def test_what_no_world_is_called_is_a_model_or_nothing_to_train(small: Small) -> None:
    with pytest.raises(BadInputError, match="'large' is nothing to train; say courtesy or small, or name models"):
        engine.language_settings("large", {})
    with pytest.raises(BadInputError, match="there is no world 'large'; there is courtesy, small"):
        named_worlds.world_named("large")

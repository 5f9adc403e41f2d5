"""Influence finds the faults that the demonstration plants, better than the rewards themselves do."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.filtering import actor_influence
from engine.demos.courtesy.experiment.detection import auc
from engine.demos.courtesy.world import World
from engine.kinds.language.filtering import make_filter
from engine.kinds.language.learner import LanguageLearner
from engine.kinds.language.presets import language_settings
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.commit import RunWriter


@pytest.fixture(scope="module")
def first_round(courtesy: World, tmp_path_factory: pytest.TempPathFactory) -> LanguageSnapshot:
    """The round before any update, with a fifth of its rewards flipped."""
    folder: Path = tmp_path_factory.mktemp("flips")
    config, language = language_settings("courtesy", {"flip": 0.2, "n_steps": 128, "seed": 0})
    learner = LanguageLearner.begin(config, language, folder)
    RunWriter.create(folder, learner.manifest(), model=learner.model).close()
    return learner.collect()


def test_influence_tells_flipped_rewards_from_the_others(first_round: LanguageSnapshot) -> None:
    flipped = first_round.buffer.reward_parts["flipped"] > 0
    assert flipped.sum() == 26
    found = auc(-actor_influence(first_round), flipped)
    assert found > 0.75
    assert found > auc(-first_round.buffer.reward, flipped)


def test_iif_drops_most_of_them(first_round: LanguageSnapshot) -> None:
    config, _ = language_settings("courtesy", {"flip": 0.2, "n_steps": 128, "filter": "iif"})
    chosen = make_filter(config)
    assert chosen is not None
    dropped = chosen(first_round.changed(config=config)).records
    flipped = first_round.buffer.reward_parts["flipped"] > 0
    assert flipped[dropped].sum() > 0.65 * flipped.sum()
    assert len(dropped) < 0.7 * len(flipped)


def test_validation_rewards_are_never_flipped(first_round: LanguageSnapshot) -> None:
    validation = first_round.validation
    assert validation is not None
    assert "flipped" not in validation.reward_parts
    assert (validation.reward == validation.reward_parts["model"]).all()

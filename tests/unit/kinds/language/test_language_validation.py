"""Real replays without sequences: whether influence predicts them, and where the answer is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from languages import Counted, settings, write_models

import engine
from engine.core.chosen_targets import named_target
from engine.core.draws import VALIDATION_SEED
from engine.core.faithfulness.kept_validations import read_validation
from engine.core.replays.many import finished_replays, grid, with_nothing_removed
from engine.errors import BadInputError
from engine.kinds.language.presets import LanguageSettings
from engine.kinds.language.removals import sequence_removals
from engine.kinds.language.sequences import LanguageSnapshot
from engine.store.read import open_run

GRPO: dict[str, Any] = {"algorithm": "grpo", "group_size": 4}
INLINE: dict[str, Any] = {"executor": "inline", "subsets": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("languages")
    write_models(path)
    return path


@pytest.fixture(scope="module", params=["ppo", "grpo"])
def snapshot(folder: Path, request: pytest.FixtureRequest) -> LanguageSnapshot:
    changes = {
        "rounds": 1,
        "n_steps": 24,
        "validation_prompts": 4,
        "optimizer": "sgd",
        "learning_rate": 1e-2,
        "n_epochs": 1,
    }
    config, language = settings(folder, **changes, batch_size=24, **(GRPO if request.param == "grpo" else {}))
    for _ in engine.rounds(LanguageSettings(language, config), folder / request.param, reward_model=Counted()):
        pass
    return open_run(folder / request.param).snapshot(0)


def test_small_steps_are_predicted_and_the_answer_is_kept(snapshot: LanguageSnapshot) -> None:
    """One plain gradient step on the whole round: what removal does is what the inner products say, but for the mean's
    denominator; and nothing removed is the recorded round."""
    told: list[tuple[int, int]] = []
    found = engine.validate(
        snapshot,
        "sequence",
        ["first_order", "tracin"],
        orders=2,
        **INLINE,
        report=lambda _, done, total: told.append((done, total)),
    )
    assert found.null_exact
    assert found.null_held
    assert found.estimators["tracin"].lds > 0.6
    assert found.estimators["tracin"].lds == pytest.approx(found.estimators["first_order"].lds, abs=0.05)
    assert found.verdict("tracin") == "predicts"
    assert told[-1] == (26, 26)
    target = named_target(snapshot)
    assert read_validation(snapshot, target) == found
    assert read_validation(snapshot, named_target(snapshot, "return")) is None
    removed = with_nothing_removed(sequence_removals(snapshot, 0.5, 12, VALIDATION_SEED))
    assert finished_replays(snapshot, target, grid(removed, 3)) == (26, 39)


def test_outcomes_are_those_of_replays_by_hand(snapshot: LanguageSnapshot) -> None:
    found = engine.validate(snapshot, "return", orders=1, fraction=0.25, **{**INLINE, "subsets": 3})
    target = named_target(snapshot, "return")
    removed = sequence_removals(snapshot, 0.25, 3, VALIDATION_SEED)

    def value(drop: Any) -> float:
        return float(target.value(engine.replay(snapshot, drop).policy).detach())

    assert found.actual == pytest.approx([value(np.flatnonzero(row)) - value([]) for row in removed], abs=1e-7)
    influence = engine.influence(snapshot, target).influence
    assert found.estimators["first_order"].predicted == pytest.approx(
        [-influence[row].sum() for row in removed], rel=1e-4
    )


def test_removals_leave_something_of_each_group(snapshot: LanguageSnapshot) -> None:
    removed = sequence_removals(snapshot, 0.5, 20, VALIDATION_SEED)
    assert (removed.sum(axis=1) == 12).all()
    assert len({row.tobytes() for row in removed}) > 10
    if snapshot.language.algorithm == "grpo":
        for number in np.unique(snapshot.buffer.group):
            assert (removed[:, snapshot.buffer.group == number].sum(axis=1) == 2).all()


def test_bad_settings_are_told_before_anything_is_replayed(snapshot: LanguageSnapshot) -> None:
    for changes, message in (
        ({"subsets": 2}, "from 3 to"),
        ({"orders": 0}, "from 1 to 1,048,576"),
        ({"fraction": 1.0}, "above 0 and below 1"),
        ({"estimators": ["magic"]}, "unknown estimator 'magic'; there is first_order, tracin, tracin_adam"),
        ({"target": "reward"}, "unknown target 'reward'"),
    ):
        with pytest.raises(BadInputError, match=message):
            engine.validate(snapshot, **{"executor": "inline", **changes})

"""Which sequences a round's update goes without, and the guards that keep enough of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from languages import Counted, record_language, settings, write_models
from worlds import same_tensors

import engine
from engine.config import TrainConfig
from engine.core.filtering import actor_influence
from engine.errors import BadInputError
from engine.kinds.language.filtering import SIGNAL, make_filter, signal
from engine.kinds.language.sequences import LanguageSnapshot

GRPO: dict[str, Any] = {"algorithm": "grpo", "group_size": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("languages")
    write_models(path)
    return path


@pytest.fixture(scope="module")
def ppo(folder: Path) -> LanguageSnapshot:
    return record_language(folder, "ppo", rounds=1, n_steps=24, validation_prompts=4).snapshot(0)


@pytest.fixture(scope="module")
def grpo(folder: Path) -> LanguageSnapshot:
    return record_language(folder, "grpo", rounds=1, n_steps=24, validation_prompts=4, **GRPO).snapshot(0)


def dropped(snapshot: LanguageSnapshot, min_kept: float = 0.0, **changes: Any) -> tuple[set[int], str]:
    config, language = replace(snapshot.config, **changes), replace(snapshot.language, min_kept=min_kept)
    choose = make_filter(config)
    assert choose is not None
    found = choose(snapshot.changed(config=config, language=language))
    assert not found.actor_only
    return set(found.records.tolist()), found.why


def test_iif_keeps_what_has_positive_influence(ppo: LanguageSnapshot) -> None:
    scores = actor_influence(ppo)
    gone, why = dropped(ppo, filter="iif", drop=1.0)
    assert gone == set(np.flatnonzero(scores < 0).tolist())
    assert 0 < len(gone) < len(scores)
    assert why == f"iif: {len(gone)} of {len(gone)} sequences with negative influence by first_order"
    half, _ = dropped(ppo, filter="iif", drop=0.5)
    assert half == set(np.argsort(scores)[: len(gone) // 2].tolist())


def test_random_drops_as_many(ppo: LanguageSnapshot) -> None:
    by_influence, _ = dropped(ppo, filter="iif", drop=1.0)
    at_random, why = dropped(ppo, filter="random", drop=1.0)
    assert len(at_random) == len(by_influence)
    assert at_random != by_influence
    assert at_random == dropped(ppo, filter="random", drop=1.0)[0]
    assert why.startswith("random: as many as")


def test_reward_threshold_drops_what_lies_below_the_mean(ppo: LanguageSnapshot) -> None:
    gone, why = dropped(ppo, filter="reward_threshold", drop=1.0)
    assert gone == set(np.flatnonzero(ppo.buffer.reward < ppo.buffer.reward.mean()).tolist())
    assert "below the mean reward" in why


@pytest.mark.parametrize("name", ["iif", "random", "reward_threshold"])
def test_a_floor_keeps_the_best_of_the_worst(ppo: LanguageSnapshot, name: Any) -> None:
    gone, why = dropped(ppo, min_kept=0.9, filter=name, drop=1.0)
    assert len(gone) == 2
    assert "90% of the round stay" in why
    if name == "iif":
        assert gone == set(np.argsort(actor_influence(ppo))[:2].tolist())


def test_nothing_is_filtered_where_the_target_has_no_signal(ppo: LanguageSnapshot, grpo: LanguageSnapshot) -> None:
    for snapshot in (ppo, grpo):
        assert snapshot.validation is not None
        assert signal(snapshot) > SIGNAL
        alike = replace(snapshot.validation, reward=np.full_like(snapshot.validation.reward, 2.0))
        for name in ("iif", "random"):
            gone, why = dropped(snapshot.changed(validation=alike), filter=name)
            assert not gone
            assert (
                why
                == "nothing dropped: the rewards of the sequence target hardly differ (standard deviation 0, below 0.1)"
            )


def test_grpo_leaves_a_response_of_each_group(grpo: LanguageSnapshot) -> None:
    group = grpo.buffer.group
    for name in ("iif", "random", "reward_threshold"):
        gone, _ = dropped(grpo, filter=name, drop=1.0)
        left = [i for i in range(len(group)) if i not in gone]
        assert set(group[left]) == set(group)
    reward = grpo.buffer.reward.copy()
    reward[group == group[0]] = reward.min() - 1 - np.arange(4)
    worst = grpo.changed(buffer=replace(grpo.buffer, reward=reward))
    gone, _ = dropped(worst, filter="reward_threshold", drop=1.0)
    assert set(np.flatnonzero(group == group[0]).tolist()) - gone == {int(np.flatnonzero(group == group[0])[0])}


def test_a_group_without_signal_is_not_ranked(grpo: LanguageSnapshot) -> None:
    buffer = grpo.buffer
    first = np.isin(buffer.record_of_token, np.flatnonzero(buffer.group == buffer.group[0]))
    alike = grpo.changed(buffer=replace(buffer, token_reward=np.where(first, np.float32(0), buffer.token_reward)))
    for name in ("iif", "reward_threshold"):
        gone, _ = dropped(alike, filter=name, drop=1.0)
        assert not gone & set(np.flatnonzero(buffer.group == buffer.group[0]).tolist())
        assert gone


def test_training_says_how_many_went_and_why(folder: Path) -> None:
    language = settings(folder, filter="iif", drop=1.0, rounds=2, n_steps=24, validation_prompts=4)
    run = engine.train(language, folder / "iif", reward_model=Counted())
    for information in run.rounds:
        metrics, snapshot = information.metrics, run.snapshot(information.round)
        assert metrics["dropped"] == (~snapshot.buffer.kept).sum()
        assert metrics["filter"].startswith(("iif: ", "nothing dropped: "))


def test_repaired_responses_go_on_training(folder: Path) -> None:
    asked: dict[str, Any] = {"filter": "reestimate", "drop": 1.0, "rounds": 2, "n_steps": 24, "validation_prompts": 4}
    run = engine.train(settings(folder, **asked), folder / "reestimate", reward_model=Counted())
    for information in run.rounds:
        metrics, snapshot = information.metrics, run.snapshot(information.round)
        assert metrics["repaired"] == snapshot.buffer.repaired.sum() > 0
        assert snapshot.buffer.kept.all()
        after, replayed = run.checkpoint(snapshot.round + 1), engine.replay(snapshot).checkpoint
        same_tensors(replayed, {name: after[name] for name in replayed})
    assert engine.verify_run(run.path) == []
    with pytest.raises(BadInputError, match="filter is reestimate; advantages of GRPO are relative"):
        engine.train(settings(folder, **asked, **GRPO), folder / "never")


def test_no_filter() -> None:
    assert make_filter(TrainConfig(env_id="language", path="torch")) is None

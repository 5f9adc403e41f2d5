"""Weights count sequences: one of weight 0 was never sampled, one of weight 2 is there twice, in GRPO's groups too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_models import gpt2, policy_of, random_batch

import engine
from engine.kinds.language.advantages import regrouped
from engine.kinds.language.grpo import WeightedGroups, group_advantages
from engine.kinds.language.objective import shares
from engine.kinds.language.sequences import LanguageSnapshot

pytest.importorskip("transformers")
PINS = Path(__file__).parents[3] / "pins" / "data"
RECORD, OTHER = 4, 6
"""Of two groups; neither is alone in a minibatch."""
CASES: dict[str, dict[str, Any]] = {
    "ppo": {},
    "ppo in parts": {"accumulation": 2},
    "grpo": {},
    "grpo in parts": {"accumulation": 2},
    "grpo dr_grpo": {"normalizer": "dr_grpo"},
    "grpo dapo": {"normalizer": "dapo"},
}


@pytest.fixture(params=CASES)
def snapshot(request: pytest.FixtureRequest) -> LanguageSnapshot:
    """Round 1, whose advantages are those of its normalizer."""
    found = engine.open_run(PINS / f"language-v3-{request.param.split()[0]}" / "run").snapshot(1)
    return regrouped(found.changed(language=replace(found.language, **CASES[request.param])))


def theta(snapshot: LanguageSnapshot, **options: Any) -> np.ndarray:
    replayed = engine.replay(snapshot, **options)
    return np.concatenate([p.detach().numpy().ravel() for p in replayed.policy.parameters()])


def weighted(snapshot: LanguageSnapshot, **weights: float) -> np.ndarray:
    """(n,) 1 but for these records."""
    found = np.ones(len(snapshot.buffer))
    for name, weight in weights.items():
        found[int(name.removeprefix("record_"))] = weight
    return found


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def test_a_weight_of_0_is_the_removal(snapshot: LanguageSnapshot) -> None:
    removed = theta(snapshot, drop=[RECORD, OTHER])
    found = theta(snapshot, weights=weighted(snapshot, record_4=0, record_6=0))
    assert apart(found, removed) < 1e-6
    assert apart(found, theta(snapshot)) > 1e-4


def test_as_a_weight_goes_to_0_the_record_goes(snapshot: LanguageSnapshot) -> None:
    """With SGD, which doesn't make much of a little; Adam divides by it."""
    bare = {name: tensor for name, tensor in snapshot.checkpoint.items() if not name.startswith("optimizer/")}
    config = replace(snapshot.config, optimizer="sgd", learning_rate=3e-2)
    snapshot = snapshot.changed(config=config, checkpoint=bare)
    removed = theta(snapshot, drop=[RECORD])
    gaps = [apart(theta(snapshot, weights=weighted(snapshot, record_4=w)), removed) for w in (1.0, 1e-3, 1e-9)]
    assert gaps[0] > 1e-4
    assert gaps[1] < 0.02 * gaps[0]
    assert gaps[2] < 1e-6


def test_a_weight_of_2_is_a_second_copy_in_the_group(snapshot: LanguageSnapshot) -> None:
    """In minibatches of the whole round, where the copy does not push out another."""
    n = len(snapshot.buffer)
    whole = snapshot.changed(config=replace(snapshot.config, batch_size=n + 1, n_epochs=2))
    order = np.tile(np.arange(n, dtype=np.int32), (2, 1))
    copy = np.concatenate([order, np.full((2, 1), n, np.int32)], axis=1)
    once = whole.changed(minibatches=order)
    twice = regrouped(whole.changed(minibatches=copy, buffer=whole.buffer.take([*range(n), RECORD])))
    found = theta(once, weights=weighted(snapshot, record_4=2))
    assert apart(found, theta(twice)) < 2e-6
    assert apart(found, theta(once)) > 1e-4


@pytest.mark.parametrize("normalizer", ["token", "dapo", "grpo", "dr_grpo"])
def test_the_weight_of_a_sequence_alone_in_its_minibatch_changes_nothing(normalizer: Any) -> None:
    """Be it above or below 1: a mean of one is that one."""
    part = random_batch(policy_of(gpt2()), 1)
    plain = shares(part, normalizer, 5)
    for weight in (0.25, 1.0, 3.0):
        assert torch.equal(shares(part, normalizer, 5, torch.tensor([weight], dtype=torch.float64)), plain), weight


def test_weighted_advantages_by_hand() -> None:
    """Rewards 0, 1, 4 with weights 1, 2, 1 are those of 0, 1, 1, 4; the second group's rewards are all equal."""
    rewards, groups, kept = [0, 1, 4, 2, 2], [0, 0, 0, 1, 1], np.ones(5, bool)
    weights = torch.tensor([1.0, 2, 1, 1, 1], dtype=torch.float64)
    for normalizer in ("grpo", "dr_grpo", "dapo"):
        found = WeightedGroups(rewards, groups, kept, normalizer).advantages(weights)
        expected = group_advantages([0, 1, 1, 4], [0] * 4, normalizer=normalizer)[[0, 1, 3]]
        assert found.tolist() == pytest.approx([*expected, 0, 0])


def test_responses_that_count_no_more_than_one_are_compared_with_nothing() -> None:
    """Two of weight 1/2 are one response, whose advantage is 0; from above it goes there."""
    groups = WeightedGroups([0, 1], [0, 0], np.ones(2, bool))
    for weight, bound in ((0.3, 0.0), (0.5, 0.0), (0.5 + 1e-7, 1e-3)):
        found = groups.advantages(torch.full((2,), weight, dtype=torch.float64))
        assert float(found.abs().max()) <= bound, weight

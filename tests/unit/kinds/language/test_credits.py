"""Influence of sequences and tokens: against explicit gradients, GRPO's against leaving each response out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from languages import GRPO, record_language
from worlds import same_tensors

import engine
from engine.core.chosen_targets import named_target
from engine.core.gradients.inner_products import gradient, inner_products
from engine.core.objective import objective
from engine.errors import BadInputError, ZeroGradientError
from engine.kinds.language.advantages import totals
from engine.kinds.language.credits import Credits
from engine.kinds.language.grpo import group_advantages, leave_one_out
from engine.kinds.language.models import restore_policy
from engine.kinds.language.objective import shares
from engine.kinds.language.policy import LanguagePolicy
from engine.kinds.language.sequences import LanguageSnapshot
from engine.kinds.language.update import batch_of, normalizer_of
from engine.store.read import Run


@pytest.fixture(params=["ppo", "grpo"])
def snapshot(request: pytest.FixtureRequest) -> LanguageSnapshot:
    return request.getfixturevalue(request.param).snapshot(1)


def slope_of_the_objective(snapshot: LanguageSnapshot, advantage: Any = None) -> float:
    """N * <grad f, grad J> in float64, J the objective of the whole round as one minibatch, by one backward pass."""
    policy = restore_policy(snapshot).double()
    batch = batch_of(policy, snapshot.buffer)
    if advantage is not None:
        batch = batch._replace(advantage=torch.as_tensor(advantage)[:, None] * (batch.action >= 0))
    share = shares(batch, normalizer_of(snapshot.language), snapshot.language.max_new_tokens)
    total = (objective(policy(batch.inputs, batch.action), batch, snapshot.config).total() * share).sum()
    direction, names = gradient(named_target(snapshot), policy), dict(policy.named_parameters())
    gradients = torch.autograd.grad(len(share) * total, [names[name] for name in direction])
    return sum(float((g * v).sum()) for g, v in zip(gradients, direction.values(), strict=True))


def test_first_order_is_the_inner_product_of_explicit_gradients(ppo: Run) -> None:
    """Record by record, and summed up it is n times the slope of the objective."""
    snapshot = ppo.snapshot(1)
    policy = restore_policy(snapshot).double()
    batch = batch_of(policy, snapshot.buffer)
    direction = gradient(named_target(snapshot), policy)
    products = inner_products(policy, batch, snapshot.config, direction, "loop").detach()
    expected = (products * shares(batch, "token", 0)[:, 0] * len(products)).numpy()
    found = engine.influence(snapshot)
    assert found.influence == pytest.approx(expected, rel=1e-3, abs=1e-4 * float(np.abs(expected).max()))
    assert np.count_nonzero(found.influence) == len(found.influence)
    assert found.influence.sum() == pytest.approx(slope_of_the_objective(snapshot), rel=1e-3)
    assert not found.no_signal.any()


@pytest.mark.parametrize("normalizer", ["grpo", "dr_grpo", "dapo"])
def test_grpo_leaves_each_response_out_by_hand(grpo: Run, normalizer: Any) -> None:
    """What the objective's slope loses when the response was never sampled and its group is compared anew."""
    snapshot = grpo.snapshot(1)
    snapshot = snapshot.changed(language=replace(snapshot.language, normalizer=normalizer))
    buffer, n = snapshot.buffer, len(snapshot.buffer)

    def slope(kept: Any = None) -> float:
        return slope_of_the_objective(snapshot, group_advantages(totals(buffer), buffer.group, kept, normalizer))

    whole = slope()
    expected = np.array([whole - slope(np.arange(n) != i) for i in range(n)])
    policy = restore_policy(snapshot).double()
    credits = Credits(policy, snapshot)
    credits.add(np.arange(n), gradient(named_target(snapshot), policy), weight=n)
    scale = float(np.abs(expected).max())
    assert scale > 0
    assert credits.by_record() == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)
    assert np.abs(credits.own.sum(axis=1) - expected).max() > 0.05 * scale, "the baseline has a part in it"


def test_leave_one_out_advantages_by_hand() -> None:
    (first, second) = leave_one_out([0, 1, 5, 2, 2], [7, 7, 7, 8, 8], np.ones(5, bool), "dr_grpo")
    assert first.members.tolist() == [0, 1, 2]
    assert first.advantage.tolist() == [-2, -1, 3]
    assert first.without.tolist() == [[0, -2.5, -0.5], [-2, 0, 0.5], [2, 2.5, 0]]
    assert not second.without.any()
    assert not second.advantage.any()


def test_tokens_sum_to_their_sequence_and_prompts_have_none(snapshot: LanguageSnapshot) -> None:
    for estimator in ("first_order", "tracin", "tracin_adam"):
        found = engine.influence(snapshot, "return", estimator, cache=False)
        assert found.token_influence is not None
        sums = np.bincount(snapshot.buffer.record_of_token, found.token_influence)
        assert found.influence == pytest.approx(sums, rel=1e-6)
        assert found.influence.any()
        assert not found.token_influence[~snapshot.buffer.mask].any()


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_a_caller_that_switched_derivatives_off_gets_the_same(snapshot: LanguageSnapshot, switched_off: Any) -> None:
    replayed = engine.replay(snapshot, drop=[1]).checkpoint
    with switched_off():
        same_tensors(engine.replay(snapshot, drop=[1]).checkpoint, replayed)
        found = engine.influence(snapshot, estimator="tracin", cache=False).influence
    np.testing.assert_array_equal(found, engine.influence(snapshot, estimator="tracin", cache=False).influence)


def test_one_step_of_plain_ascent_is_first_order(folder: Path) -> None:
    """With SGD, one epoch and one minibatch, TracIn is eta / n times the inner product at theta(k)."""
    settings: dict[str, Any] = {"optimizer": "sgd", "n_epochs": 1, "batch_size": 12, "learning_rate": 0.1}
    for name, changes in (("one ppo", {}), ("one grpo", GRPO)):
        snapshot = record_language(folder, name, rounds=1, **settings, **changes).snapshot(0)
        first, path = (engine.influence(snapshot, estimator=e).influence for e in ("first_order", "tracin"))
        assert path == pytest.approx(first * 0.1 / 12, rel=1e-3, abs=1e-5 * float(np.abs(path).max()))


@pytest.mark.parametrize("algorithm", ["ppo", "grpo"])
def test_influence_predicts_small_steps_without_a_record(folder: Path, algorithm: str) -> None:
    """Really replayed without the record, f moves by what plain TracIn says, where steps are small and nothing is divided
    by the number that are left."""
    changes: dict[str, Any] = {"optimizer": "sgd", "n_epochs": 1, "batch_size": 12, "learning_rate": 1e-3, "rounds": 1}
    if algorithm == "grpo":
        changes |= GRPO
    snapshot = record_language(folder, f"small {algorithm}", **changes, max_grad_norm=1e6).snapshot(0)
    target = named_target(snapshot)
    influence = engine.influence(snapshot, target, "tracin").influence

    def value(policy: LanguagePolicy) -> float:
        with torch.no_grad():
            return float(target.value(policy.double()))

    def gained(drop: list[int]) -> float:
        return value(engine.replay(snapshot, drop).policy) - value(restore_policy(snapshot))

    gain = gained([])
    n = len(snapshot.buffer)
    # The mean over those that are left is larger by their share: GRPO's by n / (n - 1), PPO's by the tokens.
    lengths = np.bincount(snapshot.buffer.record_of_token, snapshot.buffer.mask)
    share = 1 / n if algorithm == "grpo" else lengths / lengths.sum()
    actual = np.array([gain - gained([i]) * (1 - np.broadcast_to(share, n)[i]) for i in range(n)])
    assert actual == pytest.approx(influence, rel=0.05, abs=0.02 * float(np.abs(influence).max()))


def test_groups_without_variance_have_no_signal(grpo: Run) -> None:
    snapshot = grpo.snapshot(1)
    buffer = snapshot.buffer
    equal = buffer.group == buffer.group[0]
    reward = buffer.token_reward.copy()
    reward[np.isin(buffer.record_of_token, np.flatnonzero(equal))] = 0
    snapshot = snapshot.changed(buffer=replace(buffer, token_reward=reward))
    found = engine.influence(snapshot)
    assert found.no_signal.tolist() == equal.tolist()
    assert not found.influence[equal].any()
    assert found.influence[~equal].any()


def test_a_sequence_that_was_dropped_has_no_influence(snapshot: LanguageSnapshot) -> None:
    without = snapshot.without([3])
    for estimator in ("first_order", "tracin_adam"):
        found = engine.influence(without, estimator=estimator)
        assert found.influence[3] == 0
        assert np.count_nonzero(found.influence) == len(found.influence) - 1


def test_scores_come_back_from_the_cache(ppo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = ppo.snapshot(1)
    first = engine.influence(snapshot, "return")
    monkeypatch.setattr("engine.core.influence.attribute", None)
    again = engine.influence(snapshot, "return")
    assert np.array_equal(again.influence, first.influence)
    assert np.array_equal(again.token_influence, first.token_influence)
    with pytest.raises(TypeError):
        engine.influence(snapshot, "return", refresh=True)


def test_unknown_estimator_and_zero_gradient_are_named(ppo: Run) -> None:
    snapshot = ppo.snapshot(1)
    with pytest.raises(
        BadInputError,
        match="unknown estimator 'magic'; there is first_order, tracin, tracin_adam, replay_",
    ):
        engine.influence(snapshot, estimator="magic")
    nothing = replace(snapshot.buffer, advantage=np.zeros_like(snapshot.buffer.advantage))
    with pytest.raises(ZeroGradientError, match="return target is zero"):
        engine.influence(snapshot.changed(buffer=nothing), "return")

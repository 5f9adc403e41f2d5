"""A large round is evaluated a block of records at a time, with the same numbers."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from worlds import moved_snapshot

import engine
from engine.core import blocks as module
from engine.core.blocks import AT_ONCE, blocks
from engine.core.faithfulness.lds import summed
from engine.core.gradients.inner_products import target_gradient
from engine.core.policy import Evaluation, Policy
from engine.core.targets.of_records import ReturnTarget, return_target
from engine.envs import find
from engine.kinds.control import round_gradients
from engine.kinds.control.kind import KIND
from engine.kinds.control.networks import ActorCritic
from engine.store.snapshot import Snapshot
from engine.store.tables import minibatches_from, minibatches_table

BLOCK = 40


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return moved_snapshot(find("LunarLander-v3"), rounds=2, n_steps=96, n_epochs=2, ent_coef=0.02)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Small blocks, and how many records the policy is shown at once."""
    monkeypatch.setattr(module, "AT_ONCE", BLOCK)
    monkeypatch.setattr(round_gradients, "KEPT_BYTES", 0)
    found: list[int] = []
    forward = ActorCritic.forward

    def counted(policy: Any, inputs: Any, action: Any, with_value: bool = True) -> Evaluation:
        found.append(len(action))
        return forward(policy, inputs, action, with_value)

    monkeypatch.setattr(ActorCritic, "forward", counted)
    return found


def test_blocks_are_all_records_in_order() -> None:
    n = 2 * AT_ONCE + 5
    assert np.concatenate([np.arange(n)[rows] for rows in blocks(n)]).tolist() == [*range(n)]
    assert [*blocks(0)] == [slice(0, 0)]
    assert [*blocks(n, whole=True)] == [slice(0, n)]


@pytest.mark.parametrize("target", ["return", "action"])
def test_influence_shows_the_policy_a_block_at_a_time_and_says_the_same(
    snapshot: Snapshot, shown: list[int], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "return" if target == "return" else engine.action_target(snapshot, record=3)
    found = engine.influence(snapshot, asked, cache=False)
    assert max(shown) == BLOCK
    assert sum(shown) >= 2 * 96
    monkeypatch.undo()
    whole = engine.influence(snapshot, asked, cache=False)
    scale = np.abs(whole.influence).max()
    np.testing.assert_allclose(found.influence, whole.influence, atol=1e-5 * scale)
    for term, values in whole.terms.items():
        np.testing.assert_allclose(found.terms[term], values, atol=1e-5 * scale)


def test_a_return_target_has_the_same_value_and_gradient(
    snapshot: Snapshot, shown: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, policy = return_target(snapshot), KIND.policy(snapshot)
    value, gradient = float(target.value(policy).detach()), target_gradient(target, policy)
    assert max(shown) == BLOCK
    monkeypatch.undo()
    assert float(target.value(policy).detach()) == pytest.approx(value, rel=1e-5)
    for name, whole in target_gradient(target, policy).items():
        torch.testing.assert_close(gradient[name], whole, rtol=1e-4, atol=1e-6)


class Remembering(Policy):
    """What it says of a record depends on all before it."""

    has_memory = True

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def encode(self, observation: Any) -> torch.Tensor:
        return torch.as_tensor(observation)

    def forward(self, inputs: torch.Tensor, action: torch.Tensor, with_value: bool = True) -> Evaluation:
        log_prob = self.scale * inputs[:, 0].cumsum(0)
        return Evaluation(log_prob, torch.zeros_like(log_prob), None)


@pytest.mark.usefixtures("shown")
def test_a_policy_with_a_memory_is_shown_all_of_them() -> None:
    ones = np.ones((100, 1), np.float32)
    target = ReturnTarget(ones, np.zeros(100, np.int64), ones[:, 0])
    assert float(target.value(Remembering()).detach()) == pytest.approx(50.5)


def test_sums_over_subsets_need_no_floats_for_every_subset_and_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1000)
    rng = np.random.default_rng(0)
    chosen, influence = rng.random((8, 50_000)) < 0.5, rng.normal(size=50_000).astype(np.float32)
    expected = [influence[row].sum(dtype=np.float64) for row in chosen]
    assert peak(lambda: np.testing.assert_allclose(summed(chosen, influence), expected)) < 8 * 50_000 * 8 / 2


def test_minibatches_are_checked_in_less_memory_than_they_take_twice() -> None:
    minibatches = np.stack([np.random.default_rng(i).permutation(200_000) for i in range(4)]).astype(np.int32)
    table = minibatches_table(minibatches, 200_000)
    assert peak(lambda: minibatches_from(table, 200_000, "data/x")) < 2 * minibatches.nbytes


def peak(operation: Any) -> int:
    """Bytes that Python and NumPy had in use at once."""
    tracemalloc.start()
    try:
        operation()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

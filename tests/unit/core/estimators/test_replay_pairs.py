"""Pairs of replays: a half and its complement, in an order that nothing else is measured in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import engine
from engine.core.draws import FIRST_ORDER_AGAIN, FIRST_PAIRED_ORDER, random_removals
from engine.core.effort import Effort
from engine.core.estimators.replay_pairs import (
    contrasts,
    half_differences,
    half_sums,
    halves,
    pair_outcomes,
    paired_replays,
)
from engine.core.faithfulness.measure import Measurement
from engine.core.replays.many import removal_name
from engine.core.targets.of_records import return_target
from engine.errors import BadInputError
from engine.kinds.control.kind import ControlKind
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.usefixtures("_few_replays_to_fit")


def test_a_pair_is_a_half_and_its_complement_in_an_order_of_its_own(snapshot: Snapshot) -> None:
    wanted = paired_replays(snapshot)
    assert len(wanted) == 12
    for first, second in zip(wanted[::2], wanted[1::2], strict=True):
        np.testing.assert_array_equal(first.removed, ~second.removed)
        assert first.removed.sum() == 70
        assert first.order == second.order
    assert len({each.order for each in wanted}) == 6


def test_some_halves_come_again_in_two_orders_that_they_share(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=41))
    wanted = paired_replays(snapshot)
    once, again = wanted[:74], wanted[74:]
    assert len(again) == 8
    for first, second in zip((0, 1, 0, 1, 2, 3, 2, 3), again, strict=True):
        np.testing.assert_array_equal(once[first].removed, second.removed)
    assert [each.order - FIRST_ORDER_AGAIN for each in again] == [0, 0, 1, 1, 0, 0, 1, 1]
    assert len(halves(snapshot)) == len(contrasts(snapshot)) == 37
    outcomes = pair_outcomes(snapshot, [return_target(snapshot)])
    assert (outcomes.once.shape, outcomes.again.shape) == ((1, 37, 2), (1, 2, 2, 2))


def test_records_that_the_update_went_without_are_in_neither_half(snapshot: Snapshot) -> None:
    filtered = replace(snapshot.without(range(40)), path=None)
    assert not any(each.removed[:40].any() for each in paired_replays(filtered))
    x = contrasts(filtered)
    assert not x[:, :40].any()
    assert (np.abs(x[:, 40:]) == 0.5).all()
    np.testing.assert_array_equal(x.sum(axis=1), 0)


def test_no_pair_has_an_order_or_a_half_that_estimators_are_measured_on(
    snapshot: Snapshot, replayed: list[tuple[str, int]]
) -> None:
    settings: dict[str, Any] = {"subsets": 10, "orders": 3, "executor": "inline"}
    engine.validate(snapshot, estimators=["replay_regression"], **settings)
    pairs = {each.key for each in paired_replays(snapshot)}
    measured = set(replayed) - pairs
    assert len(replayed) == len(pairs | measured) == 12 + (1 + 10) * 3
    assert {order for _, order in measured} == {0, 1, 2}
    assert min(order for _, order in pairs) >= FIRST_PAIRED_ORDER
    names = {removal_name(row) for row in random_removals(snapshot, 0.5, 10)}
    assert not names & {name for name, _ in pairs}
    with pytest.raises(BadInputError, match="orders"):
        Measurement(subsets=10, orders=FIRST_PAIRED_ORDER + 1)


def test_outcomes_are_those_of_replay(snapshot: Snapshot) -> None:
    targets = [return_target(snapshot), engine.action_target(snapshot, record=3)]
    found = pair_outcomes(snapshot, targets).once
    assert found.shape == (2, 6, 2)
    half = halves(snapshot)[4]
    for side, removed in enumerate((half, ~half)):
        policy = engine.replay(snapshot, np.flatnonzero(removed), order=FIRST_PAIRED_ORDER + 4).policy
        for i, target in enumerate(targets):
            assert found[i, 4, side] == target.value(policy).item()


def test_differences_have_only_what_single_records_do_and_sums_only_the_rest(snapshot: Snapshot) -> None:
    """In a world of single records, of two records together, and of orders."""
    rng = np.random.default_rng(0)
    x = contrasts(snapshot)
    kept = np.stack([x > 0, x < 0], axis=1).astype(float)
    influence, order = rng.normal(size=140), 10 * rng.normal(size=(6, 1))
    alone = kept @ influence + order
    np.testing.assert_allclose(half_differences(alone), x @ influence, atol=1e-9)
    np.testing.assert_allclose(half_sums(alone) - order[:, 0], influence.sum() / 2, atol=1e-9)
    together = np.einsum("mki,ij,mkj->mk", kept, _centred_pairs(rng), kept)
    np.testing.assert_allclose(half_differences(together), 0, atol=1e-9)
    assert half_sums(together).std() > 1


def _centred_pairs(rng: np.random.Generator) -> np.ndarray:
    """(n, n) what two records do together, of which no record's mean is left."""
    both = rng.normal(size=(140, 140))
    both += both.T
    return both - both.mean(axis=0) - both.mean(axis=1)[:, None] + both.mean()

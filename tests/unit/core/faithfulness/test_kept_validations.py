"""How validations are kept, and which one is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import engine
from engine.core.faithfulness import kept_validations
from engine.core.faithfulness.kept_validations import keep_validation
from engine.core.faithfulness.result import Validation
from engine.core.replays import many as replaying
from engine.core.targets.functions import Target
from engine.store.derived import update_table
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.usefixtures("_few_replays_to_fit")
INLINE: dict[str, Any] = {"executor": "inline"}


def same(one: Validation, other: Validation) -> bool:
    """Equal but for the clock."""
    return _timeless(one) == _timeless(other)


def _timeless(found: Validation) -> str:
    return json.dumps(replace(found, seconds=0, created=0).to_json())


def test_the_newest_validation_is_read_without_computing(
    snapshot: Snapshot, replayed: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.read_validation(snapshot) is None
    small = engine.validate(snapshot, subsets=4, orders=2, **INLINE)
    tenth = engine.validate(snapshot, subsets=3, orders=1, fraction=0.1, **INLINE)
    engine.validate(snapshot, subsets=4, orders=2, estimators=["replay_regression"], **INLINE)
    monkeypatch.setattr(replaying, "replay", lambda *_, **__: pytest.fail("it must not replay"))
    both = engine.read_validation(snapshot)
    assert both is not None
    assert set(both.estimators) == {"first_order", "replay_regression"}, "equal settings belong together"
    assert both.estimators["first_order"] == small.estimators["first_order"]
    read = engine.read_validation(snapshot, fraction=0.1)
    assert read is not None
    assert same(read, tenth)
    assert engine.read_validation(snapshot, estimator="replay_regression", fraction=0.1) is None
    assert engine.read_validation(snapshot, design="extremes") is None
    assert engine.read_validation(snapshot, engine.action_target(snapshot, record=3)) is None
    assert engine.read_validation(engine.open_run(snapshot.path or "").snapshot(2)) is None


def test_extremes_are_a_design_of_their_own(snapshot: Snapshot) -> None:
    found = engine.validate(snapshot, subsets=6, orders=2, fraction=0.2, design="extremes", **INLINE)
    assert found.design == "extremes of first_order"
    read = engine.read_validation(snapshot, design="extremes")
    assert read is not None
    assert same(read, found)


def test_a_small_check_does_not_hide_a_large_one(snapshot: Snapshot) -> None:
    large = engine.validate(snapshot, subsets=4, orders=2, **INLINE)
    engine.validate(snapshot, subsets=3, orders=1, fraction=0.1, **INLINE)
    read = engine.read_validation(snapshot)
    assert read is not None
    assert same(read, large)


def test_orders_are_kept_beside_the_name_and_not_in_it(snapshot: Snapshot) -> None:
    engine.validate(snapshot, estimators=["tracin"], subsets=3, orders=1, score_orders=2, **INLINE)
    read = engine.read_validation(snapshot)
    assert read is not None
    assert {name: (each.estimator, each.orders) for name, each in read.estimators.items()} == {
        "tracin over 2 orders": ("tracin", 2)
    }


def test_the_name_of_what_earlier_versions_kept_is_not_taken_apart(snapshot: Snapshot) -> None:
    """They said no more than the name; scores of one order have the estimator's own."""
    target: Target = engine.return_target(snapshot)
    found = engine.validate(snapshot, subsets=3, orders=1, **INLINE)
    several = replace(found, estimators={**found.estimators, "tracin over 2 orders": found.estimators["first_order"]})
    keep_validation(snapshot, target, several)
    assert snapshot.path is not None
    update_table(snapshot.path, kept_validations._key(snapshot, target), lambda kept: kept.select(["validation"]))
    read = engine.read_validation(snapshot)
    assert read is not None
    assert read.estimators["first_order"] == found.estimators["first_order"]
    assert {name: (each.estimator, each.orders) for name, each in read.estimators.items()} == {
        "first_order": ("first_order", 1),
        "tracin over 2 orders": ("", 1),
    }

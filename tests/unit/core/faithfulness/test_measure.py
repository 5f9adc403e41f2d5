"""Validation by real replays: what is measured, what is kept, and what survives an interruption."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import entry, moved_snapshot

import engine
from engine import executors
from engine.core.draws import extreme_removals, random_removals
from engine.core.effort import Effort
from engine.core.faithfulness.measure import Measurement, removals, validate_targets
from engine.core.faithfulness.result import Validation
from engine.core.replays.many import finished_replays, grid, replays, with_nothing_removed
from engine.core.targets.of_records import return_target
from engine.errors import BadInputError, CancelledError, ZeroGradientError
from engine.kinds.control.kind import ControlKind
from engine.store.snapshot import Snapshot

pytestmark = pytest.mark.usefixtures("_few_replays_to_fit")
INLINE: dict[str, Any] = {"executor": "inline"}


def same(one: Validation, other: Validation) -> bool:
    """Equal but for the clock."""
    return _timeless(one) == _timeless(other)


def _timeless(found: Validation) -> str:
    return json.dumps(replace(found, seconds=0, created=0).to_json())


@pytest.mark.long
def test_the_pool_gives_the_same_numbers_as_inline(snapshot: Snapshot, tmp_path: Path) -> None:
    inline = engine.validate(snapshot, subsets=5, orders=3, **INLINE)
    shutil.rmtree(tmp_path / "run" / "derived")
    assert same(engine.validate(snapshot, subsets=5, orders=3, executor="processes", workers=2), inline)


# What a validation says.


def test_figures_come_from_the_replays(snapshot: Snapshot) -> None:
    found = engine.validate(snapshot, subsets=6, orders=3, **INLINE)
    removed = random_removals(snapshot, 0.5, 6)
    (outcomes,) = replays(snapshot, [return_target(snapshot)], with_nothing_removed(removed), 3)
    differences = outcomes[1:] - outcomes[0]
    np.testing.assert_allclose(found.actual, differences.mean(axis=1))
    np.testing.assert_allclose(found.actual_error, differences.std(axis=1, ddof=1) / np.sqrt(3))
    predicted = [-engine.influence(snapshot).influence[row].sum() for row in removed]
    measured = found.estimators["first_order"]
    np.testing.assert_allclose(measured.predicted, predicted, rtol=1e-5)
    ranks = np.argsort(np.argsort(predicted)), np.argsort(np.argsort(found.actual))
    assert measured.lds == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert (found.subsets, found.orders, found.fraction, found.design) == (6, 3, 0.5, "random")
    assert -1 <= found.metasmoothness <= 1


def test_null_control_is_exact(snapshot: Snapshot) -> None:
    found = engine.validate(snapshot, subsets=3, orders=1, **INLINE)
    assert (found.null_exact, found.null_difference, found.null_held) == (True, 0, True)
    assert found.fingerprint_equal
    last = engine.validate(engine.open_run(snapshot.path or "").snapshot(2), subsets=3, orders=1, **INLINE)
    assert last.null_exact, "the final checkpoint is what the last round became"


def test_null_control_finds_a_round_that_did_something_else(snapshot: Snapshot) -> None:
    tampered = replace(snapshot, config=replace(snapshot.config, learning_rate=1e-5))
    found = engine.validate(tampered, subsets=3, orders=1, **INLINE)
    assert found.null_exact is False
    assert found.null_held is False
    assert found.null_difference is not None
    assert 0.9 < found.null_difference < 1.1
    assert "FAILED" in found.null_sentence
    assert found.verdict("first_order") == "failed", "whatever the LDS says"
    assert "nothing can be said of first_order here" in found.sentence("first_order")


def test_another_machine_has_a_tolerance_instead(snapshot: Snapshot) -> None:
    foreign = replace(snapshot, fingerprint={**snapshot.fingerprint, "numpy": "1.0"})
    found = engine.validate(foreign, subsets=3, orders=1, **INLINE)
    assert not found.fingerprint_equal
    near = replace(found, null_exact=False, null_difference=1e-4)
    assert near.null_held
    assert not replace(near, null_difference=0.1).null_held
    assert not replace(near, fingerprint_equal=True).null_held
    assert "another machine" in near.null_sentence


def test_a_round_that_is_not_committed_can_be_validated_too(replayed: list[Any]) -> None:
    snapshot = moved_snapshot(entry("IdentityWorld-v0"), n_steps=64, n_epochs=2)
    found = engine.validate(snapshot, subsets=4, orders=2, **INLINE)
    assert found.null_exact is None
    assert "no checkpoint" in found.null_sentence
    assert len(replayed) == 10
    assert engine.read_validation(snapshot) is None


def test_one_order_has_no_ceiling(snapshot: Snapshot) -> None:
    found = engine.validate(snapshot, subsets=4, orders=1, **INLINE)
    assert found.ceiling is None
    assert "of a possible" not in found.sentence("first_order")
    assert found.to_json()["actual_error"] == [None] * 4


# What is kept.


def test_more_subsets_and_orders_and_estimators_reuse_what_is_there(
    snapshot: Snapshot, replayed: list[tuple[str, int]]
) -> None:
    engine.validate(snapshot, subsets=4, orders=2, **INLINE)
    assert len(replayed) == 5 * 2
    first = engine.validate(snapshot, subsets=4, orders=2, **INLINE)
    assert len(replayed) == 10
    engine.validate(snapshot, subsets=6, orders=3, estimators=("first_order", "replay_regression"), **INLINE)
    assert len(replayed) == len(set(replayed)) == 7 * 3 + 12
    shutil.rmtree((snapshot.path or Path()) / "derived")
    assert same(engine.validate(snapshot, subsets=4, orders=2, **INLINE), first)


def test_several_targets_share_their_replays(snapshot: Snapshot, replayed: list[tuple[str, int]]) -> None:
    targets = [return_target(snapshot), engine.action_target(snapshot, record=3)]
    together = validate_targets(snapshot, targets, Measurement(subsets=4, orders=2), pool=executors.INLINE)
    assert len(replayed) == 10
    assert [found.target["target"] for found in together] == ["return", "action"]
    alone = [engine.validate(snapshot, target, subsets=4, orders=2, **INLINE) for target in targets]
    assert len(replayed) == 10
    assert alone[0].actual == together[0].actual
    assert alone[1].actual == together[1].actual
    assert alone[0].actual != alone[1].actual


def test_a_cancelled_validation_continues(snapshot: Snapshot, replayed: list[tuple[str, int]]) -> None:
    def stop(doing: str, done: int, total: int) -> None:
        if done >= 16:
            raise CancelledError("stopped")

    settings = {"subsets": 5, "orders": 6, **INLINE}
    with pytest.raises(CancelledError):
        engine.validate(snapshot, report=stop, **settings)
    removed = with_nothing_removed(random_removals(snapshot, 0.5, 5))
    assert len(replayed) == 16
    assert finished_replays(snapshot, return_target(snapshot), grid(removed, 6)) == (16, 36)
    seen: list[tuple[int, int]] = []
    found = engine.validate(snapshot, report=lambda doing, done, total: seen.append((done, total)), **settings)
    assert len(replayed) == len(set(replayed)) == 36
    assert seen[0] == (16, 36)
    assert seen[-1] == (36, 36)
    shutil.rmtree((snapshot.path or Path()) / "derived")
    assert same(engine.validate(snapshot, **settings), found)


def test_extremes_are_those_of_the_scores_that_are_measured(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=6))
    settings: dict[str, Any] = {"subsets": 6, "orders": 2, "fraction": 0.2, "design": "extremes", **INLINE}
    target = return_target(snapshot)
    for name, orders, words in (
        ("tracin", 3, "extremes of tracin over 3 orders"),
        ("replay_regression", 1, "extremes of tracin_adam"),
    ):
        found = engine.validate(snapshot, estimators=[name], score_orders=orders, **settings)
        assert found.design == words
        by = "tracin_adam" if name == "replay_regression" else name
        ranking = engine.influence(snapshot, target, by, orders=orders).influence
        removed = removals(
            snapshot,
            target,
            [name],
            Measurement(subsets=6, orders=2, fraction=0.2, design="extremes", score_orders=orders),
        )
        assert np.array_equal(removed, extreme_removals(snapshot, ranking, 0.2, 6))
        scores = engine.influence(snapshot, target, name, orders=orders).influence
        (predicted,) = (one.predicted for one in found.estimators.values())
        np.testing.assert_allclose(predicted, -(removed @ scores.astype(np.float64)), rtol=1e-5, atol=1e-9)


# Bad input.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fraction": 0.0}, "fraction is 0.0; it must be above 0 and below 1"),
        ({"fraction": 1.5}, "fraction is 1.5; it must be above 0 and below 1"),
        ({"fraction": float("nan")}, "fraction is nan; it must be a finite number above 0 and below 1"),
        ({"fraction": 0.9999}, "a fraction of 0.9999 removes all of 140 records"),
        ({"fraction": 0.001}, "a fraction of 0.001 removes none of 140 records"),
        ({"fraction": 0.0072}, "only 140 subsets of 1 of 140 records"),
        ({"subsets": 2}, "subsets is 2; it must be from 3 to 100,000"),
        ({"subsets": 10**9}, "subsets is 1000000000; it must be from 3 to 100,000"),
        ({"orders": 0}, "orders is 0; it must be from 1 to 1,048,576"),
        ({"estimators": ["guess"]}, "unknown estimator 'guess'; there is first_order, "),
        ({"estimators": []}, "no estimator is named"),
        ({"target": "regret"}, "unknown target 'regret'; it must be return or action"),
        ({"target": "action"}, "an action target needs either a record"),
        ({"design": "clever"}, "design is clever; it must be extremes or random"),
        ({"executor": "threads"}, "the executor is 'threads'"),
        ({"workers": 0}, "the number of workers is 0; it must be at least 1"),
    ],
)
def test_bad_settings_are_refused_in_one_line(
    snapshot: Snapshot, replayed: list[Any], settings: dict[str, Any], message: str
) -> None:
    settings = {"subsets": 200, "orders": 2, **INLINE, **settings}
    with pytest.raises(BadInputError, match=message) as caught:
        engine.validate(snapshot, **settings)
    assert "\n" not in str(caught.value)
    assert not replayed
    assert not ((snapshot.path or Path()) / "derived").exists()


def test_a_run_needs_a_round(snapshot: Snapshot) -> None:
    assert snapshot.path is not None
    with pytest.raises(BadInputError, match="say which one with round="):
        engine.validate(snapshot.path)
    found = engine.validate(snapshot.path, round=1, subsets=3, orders=1, **INLINE)
    assert found.snapshot_hash == snapshot.hash


def test_a_round_without_its_minibatches_is_refused(snapshot: Snapshot) -> None:
    imported = snapshot.changed(minibatches=np.zeros((0, 140), np.int32))
    with pytest.raises(BadInputError, match="without its minibatches, so its update can't be replayed"):
        engine.validate(imported, subsets=3, orders=1, **INLINE)


def test_a_target_without_gradient_is_refused_before_anything_is_replayed(replayed: list[Any]) -> None:
    barren = moved_snapshot(entry("BarrenWorld-v0"), n_steps=16, n_epochs=1)
    flat = replace(barren, buffer=replace(barren.buffer, advantage=np.zeros(16, np.float32)))
    with pytest.raises(ZeroGradientError, match="gradient of the return target is zero"):
        engine.validate(flat, subsets=3, orders=1, **INLINE)
    assert not replayed

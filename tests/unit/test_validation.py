"""Validation by real replays: what is measured, what is kept, and what survives an interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor
from worlds import entry, moved_snapshot

import engine
from engine import executors
from engine.core.draws import extreme_removals, random_removals, subsets
from engine.core.estimators import replay_regression as regression
from engine.core.estimators.registry import ESTIMATORS, PRIOR, first_order, record_gradients
from engine.core.estimators.replay_regression import fit_to_replays, with_nothing_removed
from engine.core.faithfulness import cost
from engine.core.faithfulness.cost import estimate_seconds, replaying_seconds
from engine.core.faithfulness.measure import Measurement, removals, validate_targets
from engine.core.faithfulness.result import Faithfulness, Validation
from engine.core.gradients.inner_products import gradient, inner_products
from engine.core.kind import Effort
from engine.core.policy import Policy
from engine.core.replays import many as replaying
from engine.core.replays.many import Ledger, finished_replays, removal_name, replays
from engine.core.targets.of_records import return_target
from engine.errors import BadInputError, CancelledError, EngineError, ZeroGradientError
from engine.kinds.control.kind import ControlKind
from engine.store.read import Run
from engine.store.snapshot import Snapshot

INLINE: dict[str, Any] = {"executor": "inline"}


@pytest.fixture
def snapshot(cartpole: Run, tmp_path: Path) -> Snapshot:
    """Round 1 of 140 records; nothing is kept from other tests."""
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run").snapshot(1)


@pytest.fixture(autouse=True)
def _few_replays_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(fitted=12))


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Name and order of every replay that was really made in this process."""
    made: list[tuple[str, int]] = []
    real = replaying.run_replays

    def counted(task: replaying.Task) -> np.ndarray:
        made.extend((removal_name(each.removed), each.order) for each in task.replays)
        return real(task)

    monkeypatch.setattr(replaying, "run_replays", counted)
    return made


@dataclass(frozen=True)
class Watched:
    """The return target; leaves a file for every evaluation in a worker, and kills the worker at a certain one."""

    inner: Any
    folder: Path
    kill_at: int = 0
    name: str = "watched"

    def describe(self) -> dict[str, Any]:
        return {"target": self.name, **self.inner.describe()}

    def value(self, policy: Policy) -> Tensor:
        if parent_process() is not None:
            (self.folder / f"{len(list(self.folder.iterdir()))}-{os.getpid()}").touch()
            if len(list(self.folder.iterdir())) == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.value(policy)


def same(one: Validation, other: Validation) -> bool:
    """Equal but for the clock."""
    return _timeless(one) == _timeless(other)


def _timeless(found: Validation) -> str:
    return json.dumps(replace(found, seconds=0, created=0).to_json())


# Which records are removed.


def test_subsets_have_their_size_and_begin_as_shorter_lists_do() -> None:
    few, many = (subsets(np.random.default_rng(0), 50, 0.3, m) for m in (4, 9))
    assert many.shape == (9, 50)
    assert (many.sum(axis=1) == 15).all()
    assert np.array_equal(many[:4], few)
    assert len({row.tobytes() for row in many}) == 9


def test_subsets_come_from_the_records_that_were_trained_on(snapshot: Snapshot) -> None:
    filtered = snapshot.without(range(100))
    removed = random_removals(filtered, 0.5, 12)
    assert not removed[:, :100].any()
    assert (removed.sum(axis=1) == 20).all()


def test_extremes_go_from_the_few_best_and_worst_to_the_fraction(snapshot: Snapshot) -> None:
    influence = np.random.default_rng(0).normal(size=140)
    removed = extreme_removals(snapshot, influence, 0.2, 8)
    order = np.argsort(-influence)
    for row, (end, k) in zip(removed, [(e, k) for k in (7, 14, 21, 28) for e in ("top", "bottom")], strict=True):
        assert set(np.flatnonzero(row)) == set(order[:k] if end == "top" else order[-k:])
    with pytest.raises(BadInputError, match="ask for at most 56 subsets"):
        extreme_removals(snapshot, influence, 0.2, 58)


# What a replay is.


def test_outcomes_are_those_of_replay(snapshot: Snapshot) -> None:
    targets = [return_target(snapshot), engine.action_target(snapshot, record=3)]
    removed = with_nothing_removed(random_removals(snapshot, 0.5, 3))
    outcomes = replays(snapshot, targets, removed, 2)
    assert outcomes.shape == (2, 4, 2)
    for i, target in enumerate(targets):
        for m, row in enumerate(removed):
            for q in range(2):
                policy = engine.replay(snapshot, np.flatnonzero(row), order=q).policy
                assert outcomes[i, m, q] == target.value(policy).item()


def test_the_torch_path_and_continuous_actions_too() -> None:
    for settings in ({"path": "torch"}, {}):
        snapshot = moved_snapshot(entry("FollowWorld-v0"), n_steps=48, n_epochs=2, **settings)
        target = return_target(snapshot)
        removed = random_removals(snapshot, 0.5, 1)
        policy = engine.replay(snapshot, np.flatnonzero(removed[0]), order=1).policy
        assert replays(snapshot, [target], removed, 2)[0, 0, 1] == target.value(policy).item()


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


def test_regression_is_measured_on_subsets_that_it_was_not_fitted_to(
    snapshot: Snapshot, replayed: list[tuple[str, int]]
) -> None:
    settings: dict[str, Any] = {"subsets": 10, "orders": 2, **INLINE}
    found = engine.validate(snapshot, estimators=["replay_regression"], **settings)
    assert list(found.estimators) == ["replay_regression"]
    measured_on, fitted_to = random_removals(snapshot, 0.5, 10), regression.training_removals(snapshot)
    assert not {row.tobytes() for row in measured_on} & {row.tobytes() for row in fitted_to}
    assert len(replayed) == len(set(replayed)) == (1 + 10 + 12) * 2
    scores = engine.influence(snapshot, "return", "replay_regression")
    assert len(replayed) == 46, "the scores are those that were measured"
    assert scores.influence.shape == (140,)
    np.testing.assert_allclose(
        found.estimators["replay_regression"].predicted, -(measured_on @ scores.influence), rtol=1e-4, atol=1e-6
    )


def test_regression_is_an_estimator_like_others(snapshot: Snapshot) -> None:
    scores = engine.influence(snapshot, "return", "replay_regression")
    assert scores.influence.any()
    target = return_target(snapshot)
    prior, gradients = ESTIMATORS[PRIOR](snapshot, target).influence, record_gradients(snapshot, target)
    fitted = fit_to_replays(snapshot, target, gradients, prior)
    missed = inner_products(gradients.policy, gradients.batch, snapshot.config, gradients.direction(fitted.v))
    expected = fitted.alpha * prior + missed.detach().numpy()
    np.testing.assert_allclose(scores.influence, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    filtered = replace(snapshot.without(range(100)), path=None)
    assert not ESTIMATORS["replay_regression"](filtered, return_target(filtered)).influence[:100].any()


@pytest.mark.parametrize("world", ["IdentityWorld-v0", "FollowWorld-v0"])
def test_summed_gradients_are_those_of_single_records(world: str) -> None:
    """sum_i x_i <v, g_i>, once summed first and once along v first; and along grad f it is `first_order`."""
    snapshot = moved_snapshot(entry(world), n_steps=32, n_epochs=2)
    target = return_target(snapshot)
    gradients = record_gradients(snapshot, target)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 32))
    summed = gradients.summed(x)
    v = rng.normal(size=summed.shape[1])

    def along(v: np.ndarray) -> np.ndarray:
        direction = gradients.direction(v)
        return inner_products(gradients.policy, gradients.batch, snapshot.config, direction).detach().numpy()

    np.testing.assert_allclose(summed @ v, x @ along(v), rtol=1e-4, atol=1e-4)
    direction = gradient(target, gradients.policy)
    flat = np.concatenate([direction[name].numpy().ravel() for name in gradients.names])
    np.testing.assert_allclose(along(flat), first_order(snapshot, target), rtol=1e-5, atol=1e-7)


VALIDATION = Validation(
    round=3,
    target={"target": "return"},
    snapshot_hash="",
    design="random",
    fraction=0.5,
    subsets=10,
    orders=2,
    estimators={},
    ceiling=0.86,
    ceiling_low=0.8,
    ceiling_high=0.9,
    actual=(1.0, 2.0),
    actual_error=(0.1, float("nan")),
    null_exact=True,
    null_difference=0.0,
    fingerprint_equal=True,
    metasmoothness=0.5,
    seconds=1.0,
    created=1.0,
)


@pytest.mark.parametrize(
    ("lds", "low", "high", "ceiling", "verdict", "sentence"),
    [
        (0.6, 0.41, 0.74, 0.86, "predicts", "x predicts removal here: LDS 0.60 (0.41 to 0.74) of a possible 0.86"),
        (0.3, 0.1, 0.5, 0.86, "weakly", "x predicts removal weakly here: LDS 0.30"),
        (0.1, -0.1, 0.3, 0.86, "does not", "x does not predict removal here: LDS 0.10"),
        (-0.5, -0.7, -0.3, 0.86, "does not", "x predicts the opposite of what removal does here"),
        (0.2, 0.1, 0.3, 0.1, "noise", "mostly minibatch-order noise"),
        (0.6, 0.41, 0.74, None, "predicts", "LDS 0.60 (0.41 to 0.74)"),
    ],
)
def test_what_it_means_in_words(
    lds: float, low: float, high: float, ceiling: float | None, verdict: str, sentence: str
) -> None:
    found = replace(VALIDATION, ceiling=ceiling, estimators={"x": Faithfulness(lds, low, high, 1, 1, (1.0, 2.0))})
    assert found.verdict("x") == verdict
    assert sentence in found.sentence("x")


def test_json_and_back() -> None:
    nan = float("nan")
    several = {
        "x": Faithfulness(nan, nan, nan, 0.0, nan, (0.0, 0.0)),
        "y": Faithfulness(0.5, 0.0, 1.0, 2.0, 0.3, (1.0, 2.0)),
    }
    found = replace(VALIDATION, estimators=several, subsets=2)
    text = json.dumps(found.to_json(), allow_nan=False)
    again = Validation.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert again.best == "y"
    assert again.estimators["y"] == several["y"]
    assert np.isnan(again.estimators["x"].lds)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"subsets": 3}, "it has no number for each subset"),
        ({"actual": [1.0, "x"]}, r"actual\[1\] is 'x'; it must be a finite number or null"),
        ({"predicted": {"other": [1.0, 2.0]}}, "its estimators differ"),
        ({"estimators": {"x over many orders": {"lds": 1, "low": 1, "high": 1}}}, "must be an estimator's name"),
        ({"target": "action"}, "it names two targets"),
        ({"created": None}, "created is None; it must be a finite number"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_what_is_no_validation_is_refused(change: dict[str, Any], line: str) -> None:
    found = replace(VALIDATION, estimators={"x": Faithfulness(0.5, 0.0, 1.0, 2.0, 0.3, (1.0, 2.0))}, subsets=2)
    values = json.loads(json.dumps(found.to_json()))
    Validation.from_json(values)
    with pytest.raises(BadInputError, match=line):
        Validation.from_json({**values, **change})


# What is kept.


def test_more_subsets_and_orders_and_estimators_reuse_what_is_there(
    snapshot: Snapshot, replayed: list[tuple[str, int]]
) -> None:
    engine.validate(snapshot, subsets=4, orders=2, **INLINE)
    assert len(replayed) == 5 * 2
    first = engine.validate(snapshot, subsets=4, orders=2, **INLINE)
    assert len(replayed) == 10
    engine.validate(snapshot, subsets=6, orders=3, estimators=("first_order", "replay_regression"), **INLINE)
    assert len(replayed) == len(set(replayed)) == 7 * 3 + 12 * 2
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
    assert finished_replays(snapshot, return_target(snapshot), removed, 6) == (16, 36)
    seen: list[tuple[int, int]] = []
    found = engine.validate(snapshot, report=lambda doing, done, total: seen.append((done, total)), **settings)
    assert len(replayed) == len(set(replayed)) == 36
    assert seen[0] == (16, 36)
    assert seen[-1] == (36, 36)
    shutil.rmtree((snapshot.path or Path()) / "derived")
    assert same(engine.validate(snapshot, **settings), found)


@pytest.mark.long
def test_killing_a_worker_loses_nothing_that_was_finished(snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    (tmp_path / "again").mkdir()
    settings: dict[str, Any] = {"subsets": 5, "orders": 6, "executor": "processes", "workers": 1}
    target = Watched(return_target(snapshot), tmp_path / "seen", kill_at=20)
    with pytest.raises(EngineError, match="a worker process died"):
        engine.validate(snapshot, target, **settings)
    removed = with_nothing_removed(random_removals(snapshot, 0.5, 5))
    assert finished_replays(snapshot, target, removed, 6) == (16, 36)
    found = engine.validate(snapshot, replace(target, folder=tmp_path / "again", kill_at=0), **settings)
    assert len(list((tmp_path / "again").iterdir())) == 20
    assert found.actual == engine.validate(snapshot, subsets=5, orders=6, **INLINE).actual


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


def test_extremes_are_those_of_the_scores_that_are_measured(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(fitted=12))
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


def test_averaged_regression_is_fitted_to_as_many_orders(
    snapshot: Snapshot, replayed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlKind, "effort", Effort(fitted=12))
    engine.validate(snapshot, estimators=["replay_regression"], subsets=4, orders=2, score_orders=4, executor="inline")
    assert len(replayed) == len(set(replayed)) == 4 * 2 + (1 + 12) * 4, "the one with nothing removed serves both"


@pytest.mark.parametrize("kept", [True, False])
def test_the_fits_replays_are_made_once(
    snapshot: Snapshot, replayed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Also of a round that is not committed, whose replays are kept nowhere."""
    monkeypatch.setattr(ControlKind, "effort", Effort(fitted=12))
    given = snapshot if kept else replace(snapshot, hash="", path=None)
    told: list[str] = []
    engine.validate(
        given,
        estimators=["tracin", "replay_regression"],
        subsets=4,
        orders=2,
        executor="inline",
        report=lambda doing, done, total: told.append(doing),
    )
    assert len(replayed) == 4 * 2 + (1 + 12) * 2 + (0 if kept else 2), (
        "the one with nothing removed serves both if kept"
    )
    assert "scoring the records by tracin" in told


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


def test_two_at_once_lose_nothing_of_each_other(snapshot: Snapshot) -> None:
    one, other = (Ledger(snapshot, return_target(snapshot)) for _ in range(2))  # both began before either wrote
    one.add([("a", 0)], np.array([1.0]))
    other.add([("b", 1)], np.array([2.0]))
    one.add([("c", 0)], np.array([3.0]))
    assert Ledger(snapshot, return_target(snapshot)).values == {("a", 0): 1.0, ("b", 1): 2.0, ("c", 0): 3.0}


def test_a_ledger_of_another_target_or_snapshot_is_another_one(snapshot: Snapshot) -> None:
    keys = {
        Ledger(snapshot, return_target(snapshot)).key,
        Ledger(snapshot, engine.action_target(snapshot, record=1)).key,
        Ledger(engine.open_run(snapshot.path or "").snapshot(2), return_target(snapshot)).key,
    }
    assert len(keys) == 3


def test_time_is_estimated_from_one_replay(snapshot: Snapshot) -> None:
    alone = executors.Pool(workers=1)
    few, many = (
        estimate_seconds(snapshot, Measurement(subsets=subsets, orders=16), pool=alone) for subsets in (10, 1000)
    )
    assert 0 < few < many
    controls, pool = cost.CONTROL_REPLAYS, cost.POOL_SECONDS
    assert replaying_seconds(2.0, 100, executors.Pool(workers=4)) == pool + 2 * (100 / 4 + controls)
    assert replaying_seconds(2.0, 100, executors.INLINE) == 2 * (100 + controls)


@pytest.mark.parametrize(("fraction", "words"), [(0.5, "50%"), (0.125, "12.5%"), (1 / 2048, "0.0488%")])
def test_a_share_in_words(fraction: float, words: str) -> None:
    assert replace(VALIDATION, fraction=fraction).share == words


def test_few_subsets_say_nothing() -> None:
    """Three ranks agree by chance once in six times, and every resample of them does."""
    perfect = Faithfulness(1.0, 1.0, 1.0, 1.0, 1.0, (1.0, 2.0, 3.0))
    found = replace(VALIDATION, subsets=3, estimators={"x": perfect})
    assert found.verdict("x") == "few"
    assert found.sentence("x").startswith("3 subsets are too few to say whether x predicts removal: LDS 1.00")


def test_equal_predictions_have_no_figure() -> None:
    flat = Faithfulness(float("nan"), float("nan"), float("nan"), 0.0, float("nan"), (0.0, 0.0))
    found = replace(VALIDATION, estimators={"x": flat})
    assert found.sentence("x") == "x does not predict removal here: all its predictions are equal"


# Bad input.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fraction": 0.0}, "fraction is 0; it must be above 0 and below 1"),
        ({"fraction": 1.5}, "fraction is 1.5; it must be above 0 and below 1"),
        ({"fraction": float("nan")}, "fraction is nan; it must be above 0 and below 1"),
        ({"fraction": 0.9999}, "a fraction of 0.9999 removes all of 140 records"),
        ({"fraction": 0.001}, "a fraction of 0.001 removes none of 140 records"),
        ({"fraction": 0.0072}, "only 140 subsets of 1 of 140 records"),
        ({"subsets": 2}, "subsets is 2; it must be at least 3"),
        ({"subsets": 10**9}, "subsets is 1000000000; at most 100000"),
        ({"orders": 0}, "orders is 0; it must be at least 1, and at least 2 for a noise ceiling"),
        ({"estimators": ["guess"]}, "unknown estimator 'guess'; there is first_order, "),
        ({"estimators": []}, "no estimator is named"),
        ({"target": "regret"}, "unknown target 'regret'; it must be return or action"),
        ({"target": "action"}, "an action target needs either a record"),
        ({"design": "clever"}, "unknown design 'clever'; it must be random or extremes"),
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

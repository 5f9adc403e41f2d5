"""What is foretold of a fit's LDS against what a check then finds, in worlds whose parts are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from linear_worlds import halves

import engine
from engine.core.effort import Effort
from engine.core.estimators.foretold import ENOUGH, foretold
from engine.core.estimators.replay_pairs import SHARED_ORDERS
from engine.core.estimators.replay_regression import fit
from engine.core.faithfulness.lds import lds
from engine.core.influence import CachedScores
from engine.core.scores import EXPECTED_LDS
from engine.intervals import Interval
from engine.kinds.control.kind import ControlKind
from engine.store.derived import load_table, save_table
from engine.store.snapshot import Snapshot

N, PAIRS, AGAIN, SUBSETS, ORDERS = 200, 224, 32, 64, 8


class World:
    """f = what single records do + what two do together + the order's own + chance, each of a size of its own."""

    def __init__(self, seed: int, together: float, noise: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.alone = self.rng.normal(size=N)
        both = self.rng.normal(size=(N, N))
        self.both = together * (both + both.T) / math.sqrt(N)
        self.noise = noise * math.sqrt(N / 4)

    def f(self, kept: np.ndarray, orders: int = 1) -> np.ndarray:
        """(..., n) records that were kept -> (..., orders)."""
        centred = kept - 0.5
        certain = kept @ self.alone + np.einsum("...i,ij,...j->...", centred, self.both, centred)
        return certain[..., None] + self.noise * self.rng.normal(size=(*certain.shape, orders))

    def pairs(self, kept: np.ndarray, orders: int = 1) -> np.ndarray:
        """(m, n) first halves -> (m, 2), every pair in an order of its own, or (m, orders, 2), in orders that they share."""
        if orders > 1:
            shared = 50 * self.rng.normal(size=(orders, 1))
            return np.stack([self.f(kept, orders), self.f(1 - kept, orders)], axis=2) + shared
        own = 50 * self.rng.normal(size=(len(kept), 1))
        return np.stack([self.f(kept)[:, 0], self.f(1 - kept)[:, 0]], axis=1) + own

    def told_and_found(self) -> tuple[Interval, float]:
        """What is foretold, and the LDS that other subsets in other orders find."""
        kept = halves(self.rng, PAIRS, N).astype(float)
        once, again = self.pairs(kept), self.pairs(kept[:AGAIN], SHARED_ORDERS)
        x = kept - 0.5
        fitted = fit(x, np.zeros(PAIRS), (once[:, 0] - once[:, 1]) / 2)
        told = foretold(fitted.left_out, once, again, subsets=SUBSETS, orders=ORDERS, rng=self.rng)
        measured_on = halves(self.rng, SUBSETS, N)
        outcomes = self.f(measured_on.astype(float), ORDERS) + 50 * self.rng.normal(size=ORDERS)
        assert told is not None
        return told, lds(fitted.v, measured_on, outcomes, self.rng).value


@pytest.mark.parametrize(("together", "noise"), [(0.1, 0.1), (0.5, 0), (0, 2), (0.5, 2)])
def test_a_check_finds_what_was_foretold(together: float, noise: float) -> None:
    told, found = zip(*(World(seed, together, noise).told_and_found() for seed in range(40)), strict=True)
    inside = [each.low <= value <= each.high for each, value in zip(told, found, strict=True)]
    assert sum(inside) >= 35, "at 95 %, fewer than 35 of 40 come once in 400 times"
    assert np.mean([each.value for each in told]) == pytest.approx(np.mean(found), abs=0.08)
    assert np.mean([each.high - each.low for each in told]) < 0.6


def test_what_a_prediction_is_worth_in_a_world_of_single_records() -> None:
    """Half of the variance of y is predicted, and nothing else moves f: the ranks correlate as 6 / pi asin(sqrt(1/2) / 2)."""
    rng = np.random.default_rng(0)
    seen, unseen = rng.normal(size=(2, 20_000))
    y = seen + unseen
    once = np.stack([y, -y], axis=1)
    told = foretold(seen, once, np.stack([once, once], axis=1), subsets=10**9, orders=1, rng=rng)
    assert told is not None
    assert told.value == pytest.approx(6 / math.pi * math.asin(math.sqrt(0.5) / 2), abs=0.01)
    assert told.low == pytest.approx(told.value, abs=0.02)
    assert told.high == pytest.approx(told.value, abs=0.02)


def test_nothing_is_foretold_from_too_little() -> None:
    rng = np.random.default_rng(0)
    once, left_out = rng.normal(size=(40, 2)), rng.normal(size=40)
    again = rng.normal(size=(ENOUGH, SHARED_ORDERS, 2))
    few = foretold(left_out, once, again[1:], subsets=64, orders=4, rng=rng)
    nothing = foretold(np.zeros(40), once, again, subsets=64, orders=4, rng=rng)
    assert few is None
    assert nothing is None


@pytest.fixture
def scores(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> engine.Scores:
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=64))
    return engine.influence(snapshot, "return", "replay_regression")


def test_scores_keep_what_was_foretold_of_them(snapshot: Snapshot, scores: engine.Scores) -> None:
    assert scores.expected is not None
    assert -1 <= scores.expected.low < scores.expected.value < scores.expected.high <= 1
    kept = engine.influence(snapshot, "return", "replay_regression")
    assert kept.expected == scores.expected
    said = json.loads(scores.to_arrow().schema.metadata[b"influence"])
    assert said[EXPECTED_LDS] == list(scores.expected)
    assert engine.influence(snapshot, "return", "tracin").expected is None


@pytest.mark.parametrize("said", ["[0.5, 2, 3]", "[0.5]", "{", "[NaN, NaN, NaN]", '"x"'])
def test_what_makes_no_sense_in_a_cache_foretells_nothing(snapshot: Snapshot, scores: engine.Scores, said: str) -> None:
    kept = CachedScores.of(snapshot, "return", "replay_regression", 1, by_layer=False)
    table = load_table(snapshot.path, kept.key)
    assert save_table(snapshot.path, kept.key, table, {EXPECTED_LDS: said})
    found = engine.influence(snapshot, "return", "replay_regression")
    np.testing.assert_array_equal(found.influence, scores.influence)
    assert found.expected is None


def test_a_round_that_is_not_committed_foretells_the_same(snapshot: Snapshot, scores: engine.Scores) -> None:
    alone = engine.influence(replace(snapshot, hash="", path=None), "return", "replay_regression")
    assert alone.expected == scores.expected

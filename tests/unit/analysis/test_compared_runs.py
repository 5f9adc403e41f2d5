"""Runs beside one another: which are joined, what differs, and bands worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from worlds import record

from engine.analysis.compared_runs import (
    by_seed,
    check_same_environment,
    curve,
    differing,
    differing_settings,
    smooth,
    t_interval,
)
from engine.config import TrainConfig
from engine.store.manifest import Parent
from engine.store.read import Run

CONFIG = TrainConfig(env_id="CartPole-v1", rounds=3, n_steps=64, n_envs=2)


def run(returns: Mapping[int, float | None] | None = None, parent: Parent | None = None, **settings: Any) -> Any:
    """As much of a run as a comparison reads."""
    rounds = [SimpleNamespace(round=k, metrics={"mean_return": value}) for k, value in (returns or {}).items()]
    config = replace(CONFIG, **settings)
    return SimpleNamespace(config=config, manifest=SimpleNamespace(parent=parent), rounds=rounds)


def test_runs_that_differ_only_in_their_seed_are_joined() -> None:
    runs = {"a": run(seed=1), "b": run(seed=2), "slow": run(seed=3, learning_rate=1e-4), "c": run(seed=3)}
    assert by_seed(runs) == [["a", "b", "c"], ["slow"]]


def test_a_branch_and_a_copy_are_no_further_seed() -> None:
    parent = Parent("a", 1, (3, 5), "mask", "")
    runs = {
        "a": run(seed=1),
        "copy": run(seed=1),
        "branch": run(seed=1, parent=parent),
        "b": run(seed=2, parent=parent),
    }
    assert by_seed(runs) == [["a"], ["copy"], ["branch"], ["b"]]


def test_only_settings_that_differ_are_listed() -> None:
    runs = {"a": run(seed=1, target_kl=None), "b": run(seed=1, target_kl=0.02, optimizer="sgd")}
    assert differing_settings(runs) == {
        "optimizer": {"a": "adam", "b": "sgd"},
        "target_kl": {"a": None, "b": 0.02},
    }
    assert differing_settings({"a": runs["a"]}) == {}
    assert differing_settings({}) == {}


def test_smoothing_by_hand() -> None:
    assert smooth(np.array([1.0, 4.0]), 0.5) == pytest.approx([1, 3])
    assert smooth(np.array([2.0, 2.0, 2.0]), 0.9) == pytest.approx([2, 2, 2])
    gap = smooth(np.array([np.nan, 1, np.nan, 4]), 0.5)
    assert np.isnan(gap[[0, 2]]).all()
    assert gap[[1, 3]] == pytest.approx([1, 3])
    assert np.array_equal(smooth(np.array([3.0, 1.0]), 0), [3, 1])


def test_the_interval_is_students() -> None:
    values = np.array([[1.0, 5.0], [3.0, np.nan], [8.0, np.nan]])
    low, high = t_interval(values)
    expected = stats.t.interval(0.95, 2, values[:, 0].mean(), stats.sem(values[:, 0]))
    assert (low[0], high[0]) == pytest.approx(expected)
    assert np.isnan([low[1], high[1]]).all(), "one value has no interval"


def test_a_curve_over_seeds() -> None:
    runs = [run({0: 1.0, 1: None, 2: 5.0}), run({0: 3.0, 2: 7.0, 3: 9.0}, seed=1), run({0: 8.0}, seed=2)]
    found = curve(runs, "mean_return", band="lowest to highest")
    assert found.round.tolist() == [0, 2, 3], "no episode ended in round 1"
    assert found.steps.tolist() == [128, 384, 512]
    assert found.mean.tolist() == [4, 6, 9]
    assert found.runs.tolist() == [3, 2, 1]
    assert (found.low[0], found.high[0]) == (1, 8)
    assert np.isnan([found.low[1:], found.high[1:]]).all(), "two runs make no band"
    assert found.extent == (1, 9)
    narrow = curve(runs, "mean_return")
    assert (narrow.low[0], narrow.high[0]) == pytest.approx(stats.t.interval(0.95, 2, 4, stats.sem([1.0, 3.0, 8.0])))
    assert np.isnan(curve(runs, "mean_return", band="no band").low).all()


def test_smoothing_keeps_the_raw_line() -> None:
    found = curve([run({0: 0.0, 1: 8.0})], "mean_return", smoothing=0.5)
    assert found.raw.tolist() == [0, 8]
    assert found.mean == pytest.approx([0, 8 / 1.5])


def test_a_metric_that_no_run_has_is_an_empty_curve() -> None:
    for runs in ([run({0: None})], [run()]):
        found = curve(runs, "mean_return")
        assert len(found.round) == len(found.mean) == len(found.low) == 0


def test_settings_that_differ_are_named(cartpole: Run, tmp_path: Path) -> None:
    settings = {"rounds": 2, "n_envs": 2, "n_steps": 70, "batch_size": 32, "n_epochs": 3, "seed": 9}
    other = record(tmp_path / "other", "CartPole-v1", learning_rate=0.5, **settings)
    check_same_environment(cartpole, other)
    assert differing(cartpole, other) == {"learning_rate": (cartpole.config.learning_rate, 0.5)}

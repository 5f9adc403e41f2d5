"""Live and whole are one rule: at every prefix they find the same, and nothing that is no number gets in the way."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.incidents.watch import Watch
from engine.errors import BadInputError

Metrics = list[tuple[int, dict[str, Any]]]


def made_up(seed: int, rounds: int = 120) -> Metrics:
    """A run with falls, recoveries, rounds without an episode, collapsed policies and metrics that are no numbers."""
    rng, found, level = random.Random(seed), [], 100.0
    per_round = rng.choice([1, 2, 6, 40])
    spread = rng.choice([0.0, 5.0, 40.0])
    k = entropy = 0.0
    for _ in range(rounds):
        k += rng.choice([1, 1, 1, 2])
        if rng.random() < 0.06:
            level = rng.choice([0.0, 50.0, 100.0, 180.0, 300.0])
            entropy = rng.choice([0.7, 0.7, 1e-4])
        n = rng.randrange(2 * per_round)
        values = [level + spread * rng.gauss(0, 1) for _ in range(n)]
        metrics: dict[str, Any] = {
            "episodes": n,
            "mean_return": float(np.mean(values)) if n else None,
            "std_return": float(np.std(values)) if n else None,
            "entropy": entropy or 0.7,
            "approx_kl": rng.choice([0.01, 0.2, 1e-6]) if entropy != 1e-4 else 1e-7,
            "grad_norm": rng.choice([1.0, 1.2, 40.0]),
        }
        if rng.random() < 0.03:
            metrics[rng.choice([*metrics])] = rng.choice([None, math.nan, math.inf, "many", True])
        found.append((int(k), metrics))
    return found


def whole(rounds: Metrics, discrete: bool = True) -> Watch:
    watch = Watch(discrete)
    watch.see_all(rounds)
    return watch


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_live_and_whole_agree_at_every_prefix(seed: int, discrete: bool) -> None:
    rounds = made_up(seed, 80)
    live = Watch(discrete)
    for count, (k, metrics) in enumerate(rounds, 1):
        live.see(k, metrics)
        assert live.incidents == whole(rounds[:count], discrete).incidents


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 119))
def test_it_is_the_same_in_blocks_of_any_size(seed: int, cut: int) -> None:
    rounds = made_up(seed)
    blocks = whole(rounds[:cut])
    blocks.see_all(rounds[cut:])
    assert blocks.incidents == whole(rounds).incidents


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_told_round_by_round_is_what_is_there(seed: int) -> None:
    """Each incident is told when it is new and when it changed; the last word on it is what stays."""
    live, told = Watch(), []
    for k, metrics in made_up(seed):
        new = live.see(k, metrics)
        now = list(live.incidents)
        assert all(incident in now for incident in new)
        told += new
    assert all(incident in told for incident in live.incidents)


def test_the_made_up_runs_have_incidents_of_every_kind() -> None:
    kinds = {incident.kind for seed in range(40) for incident in whole(made_up(seed)).incidents}
    assert kinds == {"drop", "stuck", "not finite"}


def test_a_fall_names_the_update_before_its_round_and_what_stood_out_in_it() -> None:
    watch = Watch()
    for k in range(60):
        low = k >= 30
        metrics = {"episodes": 10, "mean_return": 60.0 if low else 200.0, "std_return": 20.0}
        metrics |= {"approx_kl": 0.45 if k == 29 else 0.01, "grad_norm": 90.0 if k == 29 else 1.0 + k % 3}
        watch.see(k, metrics)
    (only,) = watch.incidents
    assert (only.kind, only.onset, only.first, only.last, only.update, only.seen) == ("drop", 30, 30, 30, 29, 30)
    assert only.reason.startswith("the return fell from 200 to 60 at round 30: ")
    assert any(cause.startswith("KL 0.45 in update 29, above 0.1") for cause in only.causes)
    assert any(cause.startswith("gradient norm 90 in update 29, at most 3 ") for cause in only.causes)
    assert only.onsets == (30,)


def test_several_falls_in_an_unstable_stretch_are_one_incident() -> None:
    watch = Watch()
    rng = np.random.default_rng(0)
    for k in range(120):
        level = 200.0 if k % 18 < 12 else 40.0
        values = level + 20 * rng.standard_normal(10)
        watch.see(k, {"episodes": 10, "mean_return": values.mean(), "std_return": values.std()})
    (only,) = watch.incidents
    assert only.reason.startswith("the return is unstable from round ")
    assert f"it fell {len(only.onsets)} times" in only.reason
    assert len(only.onsets) >= 5


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "much", True, [1.0], 10**400, np.float32("nan")])
def test_a_return_that_is_no_number_is_a_round_without_one(value: Any) -> None:
    watch = Watch()
    for k in range(60):
        watch.see(k, {"episodes": 10, "mean_return": value if k % 7 == 3 else 100.0, "std_return": 10.0})
    assert [incident.kind for incident in watch.incidents] == ["not finite"], "null is not 0, and no fall"


@pytest.mark.filterwarnings("error")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*(4 * [st.one_of(st.none(), st.floats(), st.integers(-(10**30), 10**400))])), max_size=60))
def test_whatever_the_numbers_are_there_is_an_answer_in_json(values: list[tuple[Any, ...]]) -> None:
    names = ("episodes", "mean_return", "std_return", "approx_kl")
    rounds = [(k, dict(zip(names, each, strict=True)) | {"grad_norm": each[1]}) for k, each in enumerate(values)]
    live = Watch()
    for k, metrics in rounds:
        live.see(k, metrics)
    found = live.incidents
    assert found == whole(rounds).incidents
    assert json.dumps(found.to_json(), allow_nan=False)
    assert found.sentence.isprintable()


def test_numpy_numbers_are_numbers() -> None:
    rounds: Metrics = [
        (k, {"episodes": np.int64(9), "mean_return": np.float32(9.0 if k > 30 else 90.0), "std_return": np.float32(5)})
        for k in range(50)
    ]
    assert [incident.onset for incident in whole(rounds).incidents] == [31]


def test_what_is_missing_is_said() -> None:
    bare: Metrics = [(k, {"records": 64}) for k in range(5)]
    found = whole(bare).incidents
    assert found.too_few.startswith("too few episodes to tell: 0 episodes ended in 5 rounds")
    assert any("no round has mean_return" in sentence for sentence in found.missing)
    assert any("no round has entropy or approx_kl" in sentence for sentence in found.missing)
    some: Metrics = [(k, {"mean_return": 3.0, "entropy": 0.5}) for k in range(30)]
    assert any(each.startswith("30 rounds without episodes or std_return") for each in whole(some).incidents.missing)
    assert any("of a Discrete action space" in sentence for sentence in whole(some, discrete=False).incidents.missing)


def test_returns_without_a_std_are_judged_by_how_they_vary_over_rounds() -> None:
    rng = np.random.default_rng(3)
    levels = np.where(np.arange(80) < 40, 200.0, 60.0) + 10 * rng.standard_normal(80)
    rounds: Metrics = [(k, {"mean_return": level}) for k, level in enumerate(levels)]
    assert [incident.onset for incident in whole(rounds).incidents] == [40]
    noise: Metrics = [(k, {"mean_return": value}) for k, value in enumerate(rng.standard_normal(100))]
    assert len(whole(noise).incidents) == 0


def test_rounds_that_mostly_end_no_episode_are_too_few_to_tell() -> None:
    rounds: Metrics = [
        (k, {"episodes": 1, "mean_return": 20.0 + k % 5, "std_return": 0.0} if k % 3 == 0 else {"episodes": 0})
        for k in range(90)
    ]
    found = whole(rounds).incidents
    assert found.too_few.startswith("too few episodes to tell: 30 episodes ended in 90 rounds, none in 67% of them")
    assert len(found) == 0


def test_rounds_come_in_order() -> None:
    watch = Watch()
    watch.see(3, {})
    for wrong in (3, 2):
        with pytest.raises(BadInputError, match=f"round {wrong} comes after round 3"):
            watch.see(wrong, {})


def test_a_long_run_costs_no_more_a_round_than_a_short_one() -> None:
    """Ten times the rounds, not a hundred times the work: what is settled is not looked at again."""

    def seconds(rounds: int) -> float:
        watch, begun = Watch(), time.process_time()
        for k in range(rounds):
            metrics: Mapping[str, Any] = {"episodes": 9, "mean_return": 50.0 + 40 * (k % 60 < 30), "std_return": 9.0}
            watch.see(k, metrics)
        assert len(watch.incidents) > rounds / 80
        return time.process_time() - begun

    assert seconds(2000) < 40 * seconds(200)

"""Metrics that stop being numbers; what may be null in a healthy run is not among them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from engine.analysis.incidents.not_finite import NotFinite, Stopped
from engine.analysis.incidents.watch import Watch


def stretches(*rounds: dict[str, Any]) -> list[Stopped]:
    found = NotFinite()
    for k, metrics in enumerate(rounds):
        found.see(k, metrics)
    return found.stretches


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf, "nan"])
def test_a_metric_stops_being_a_number(bad: Any) -> None:
    fine, broken = {"approx_kl": 0.01, "value_loss": 3.0}, {"approx_kl": bad, "value_loss": 3.0}
    assert stretches(fine, fine, broken, broken) == [Stopped(2, 3, ("approx_kl",), (1, 0.01))]


def test_what_never_was_a_number_or_is_left_out_is_not_missed() -> None:
    assert stretches({"value_loss": None}, {"value_loss": None}) == []
    assert stretches({"value_loss": 1.0}, {}, {"value_loss": 2.0}) == []


def test_null_returns_of_rounds_without_an_episode_are_healthy() -> None:
    ended, none = {"episodes": 2, "mean_return": 3.0}, {"episodes": 0, "mean_return": None}
    assert stretches(ended, none, ended, none) == []
    assert [each.first for each in stretches(ended, {"episodes": 2, "mean_return": None})] == [1]


def test_explained_variance_of_a_solved_task_is_healthy() -> None:
    assert stretches({"explained_variance": 0.9}, {"explained_variance": None}) == []


def test_rounds_close_to_one_another_are_one_stretch_and_names_add_up() -> None:
    fine = {"entropy": 0.5, "grad_norm": 1.0}
    first, second = {**fine, "grad_norm": None}, {**fine, "entropy": math.nan}
    assert stretches(fine, first, fine, second) == [Stopped(1, 3, ("grad_norm", "entropy"), (0, 1.0))]
    assert [each.first for each in stretches(fine, first, *(9 * [fine]), second)] == [1, 11]


def test_which_update_it_is_the_doing_of() -> None:
    """KL is of the round's own update; a return was played by what the update before had made."""
    for name, update in (("approx_kl", 5), ("mean_return", 4)):
        watch = Watch()
        for k in range(6):
            metrics = {"episodes": 4, "mean_return": 1.0, "std_return": 0.5, "approx_kl": 0.01}
            watch.see(k, metrics | ({name: None} if k == 5 else {}))
        (only,) = watch.incidents
        assert (only.onset, only.update, only.metrics) == (5, update, (name,))
    assert only.reason == "mean return is no number in round 5; mean return was 1 in round 4"

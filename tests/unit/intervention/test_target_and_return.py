"""Target and return in one sentence: every pair of signs, with and without a prediction, and what to try after it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import engine
from engine.intervention.target_and_return import direction, joined, to_try
from engine.store.read import Run

CHANGES = {"rose": (0.1, 0.3), "fell": (-0.3, -0.1), "within noise": (-0.1, 0.3)}


def change(went: str, size: float = 1.0) -> dict[str, Any]:
    low, high = (size * bound for bound in CHANGES[went])
    return {"mean": (low + high) / 2, "low": low, "high": high}


def result(target: str, returns: str, verdict: str = "within noise", name: str = "return") -> dict[str, Any]:
    arms = {"original": {"mean": 171.2}, "counterfactual": {"mean": 97.04}, "control": {"mean": 150}}
    return arms | {
        "difference": change(returns, 300),
        "verdict": verdict,
        "target": {"name": name, "counterfactual": change(target), "control": change("within noise")},
    }


def test_the_case_of_the_page() -> None:
    said = joined(result("rose", "fell", "hurts"), summed_influence=-0.23)
    assert said == (
        "Return without them: 171.2 → 97.04 (worse); without as many random ones: 150. "
        "The target rose as predicted, +0.2 (+0.1 to +0.3); the return fell, -60 (-90 to -30): here the target is not the return."
    )


CONCLUSIONS = {
    ("rose", "rose"): "here the target goes with the return.",
    ("fell", "fell"): "here the target goes with the return.",
    ("rose", "fell"): "here the target is not the return.",
    ("fell", "rose"): "here the target is not the return.",
    ("rose", "within noise"): "the target alone does not move the return here.",
    ("fell", "within noise"): "the target alone does not move the return here.",
    ("within noise", "rose"): "the target does not explain the return here.",
    ("within noise", "fell"): "the target does not explain the return here.",
    ("within noise", "within noise"): "nothing can be told from it.",
}


@pytest.mark.parametrize(("target", "returns"), list(itertools.product(CHANGES, CHANGES)))
def test_every_pair_of_signs(target: str, returns: str) -> None:
    said = joined(result(target, returns))
    assert said.endswith(f": {CONCLUSIONS[target, returns]}")
    assert "predicted" not in said, "nothing was foreseen"
    assert "(within noise)" in said
    of_action = joined(result(target, returns, name="action"))
    assert ": here" not in of_action
    assert of_action.endswith(")."), "an action target is not meant to be the return"


@pytest.mark.parametrize(
    ("target", "summed", "said"),
    [
        ("rose", -1.0, "The target rose as predicted, "),
        ("fell", 2, "The target fell as predicted, "),
        ("fell", -1.0, "The target fell, against a predicted rise, "),
        ("within noise", 1.0, "The target changed within noise where a fall was predicted, "),
        ("rose", 0.0, "The target rose, "),
        ("rose", "![x](y)", "The target rose, "),
    ],
)
def test_what_was_foreseen(target: str, summed: object, said: str) -> None:
    assert said in joined(result(target, "rose"), summed)


def test_an_interval_without_bounds_says_nothing() -> None:
    assert direction({"mean": 3.0, "low": None, "high": None}) == "within noise"


def test_nothing_was_played() -> None:
    said = joined({**result("rose", "fell"), "unplayed": "no environment"}, -1.0)
    assert "->" not in said
    assert said.startswith("The target rose as predicted, +0.2 (+0.1 to +0.3). Without as many random ones: +0.1")
    assert said.endswith("Nothing was played, so nothing is known of the return.")


def test_what_to_try() -> None:
    assert to_try(result("rose", "fell"), -1.0) == ("another estimator", "train on")
    assert to_try(result("rose", "rose"), -1.0) == ("train on",)
    assert to_try(result("rose", "rose"), 1.0) == ("another estimator",), "the scores were wrong about their own target"
    assert to_try(result("within noise", "fell"), -1.0) == ("more orders", "another estimator")
    assert to_try({**result("within noise", "fell"), "unplayed": "no environment"}) == ("more orders",)
    assert to_try({**result("rose", "fell"), "unplayed": "no environment"}) == ()


def test_a_real_result_has_its_numbers_in_it(cartpole: Run, tmp_path: Any) -> None:
    outcome = engine.retrain(cartpole, 1, range(0, 70), tmp_path / "branch", orders=2, episodes=4)
    said = joined(outcome)
    for arm in ("original", "counterfactual", "control"):
        assert f"{outcome[arm]['mean']:.4g}" in said
    assert f"{outcome['difference']['mean']:+.3g}" in said

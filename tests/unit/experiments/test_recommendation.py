"""The recommendation follows the measurements, those of the same environment first."""

from __future__ import annotations

from typing import Any

import pytest

from engine.experiments.recommendation import recommend


def row(estimator: str, lds: float | None, **changes: Any) -> dict[str, Any]:
    base = {"experiment": "lake", "env_id": "FrozenLake-v1", "stage": "middle", "target": "return", "record": None}
    return {**base, "fraction": 0.5, "estimator": estimator, "lds": lds, "ceiling": 0.9, **changes}


def test_the_best_one_that_takes_seconds() -> None:
    rows = [row("first_order", 0.2), row("tracin_adam", 0.7), row("replay_gradient", 0.6)]
    found = recommend(rows, "FrozenLake-v1", 0.45, "return")
    assert found is not None
    assert (found.estimator, found.thorough, found.cells) == ("tracin_adam", None, 1)
    assert found.briefly == "a guess from another run: LDS 0.70"
    assert "first_order 0.20, tracin_adam 0.70, replay_gradient 0.60, of a possible 0.90" in found.sentence
    assert (
        "FrozenLake-v1, middle in training, return target, 50% of the records removed; 1 measurement)" in found.sentence
    )


def test_a_cheaper_one_that_is_not_clearly_worse() -> None:
    rows = [row("first_order", 0.67), row("tracin_adam", 0.7), row("replay_regression", 0.9)]
    found = recommend(rows, "FrozenLake-v1", 0.5, "return")
    assert found is not None
    assert (found.estimator, found.thorough) == ("first_order", "replay_regression")
    assert "first_order does well, or replay_regression where a minute is no object." in found.sentence


def test_the_mean_over_the_actions() -> None:
    rows = [
        row(name, lds, target="action", record=record)
        for record, values in ((3, (0.8, 0.2)), (9, (0.0, 0.4)))
        for name, lds in zip(("first_order", "tracin"), values, strict=True)
    ]
    found = recommend(rows, "FrozenLake-v1", 0.5, "action")
    assert found is not None
    assert dict(found.lds) == pytest.approx({"first_order": 0.4, "tracin": 0.3})
    assert found.cells == 2
    assert "the mean LDS was first_order 0.40 (0.00 to 0.80), tracin 0.30 (0.20 to 0.40)" in found.sentence
    assert found.sentence.startswith("A guess from another run, not measured here.")


def test_another_environment_takes_all_of_the_stage() -> None:
    rows = [row("first_order", 0.1), row("tracin", 0.8), row("first_order", 0.9, stage="late")]
    rows += [row("first_order", 0.3, experiment="pole", env_id="CartPole-v1", ceiling=0.7)]
    rows += [row("tracin", 0.6, experiment="pole", env_id="CartPole-v1", ceiling=0.7)]
    found = recommend(rows, "Acrobot-v1", 0.6, "return")
    assert found is not None
    assert dict(found.lds) == pytest.approx({"first_order": 0.2, "tracin": 0.7})
    assert found.briefly == "a guess from other runs: LDS 0.60 to 0.80"
    assert "not Acrobot-v1, which it has not, but 2 others" in found.sentence


def test_noise_says_nothing_and_a_constant_prediction_predicts_nothing() -> None:
    rows = [row("first_order", 0.9, ceiling=0.1), row("tracin", None, ceiling=0.1)]
    assert recommend(rows, "FrozenLake-v1", 0.5, "return") is None
    rows = [row("first_order", None), row("tracin", 0.1)]
    found = recommend(rows, "FrozenLake-v1", 0.5, "return")
    assert found is not None
    assert found.lds["first_order"] == 0
    assert recommend([], "FrozenLake-v1", 0.5, "return") is None

"""What a validation says in words and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.core.faithfulness.result import Faithfulness, ScoredBy, Validation

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
    again = Validation.from_json(json.loads(text), [ScoredBy("y", "tracin", 4)])
    assert json.dumps(again.to_json()) == text
    assert [(each.estimator, each.orders) for each in again.estimators.values()] == [("", 1), ("tracin", 4)]
    assert again.best == "y"
    assert again.estimators["y"] == several["y"]
    assert np.isnan(again.estimators["x"].lds)


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

"""What stands out in the updates before an incident, against the thirty rounds before them."""

from __future__ import annotations

import math

from engine.analysis.incidents.causes import EXPLAIN, History


def history(**changed: dict[int, float]) -> History:
    """Forty quiet rounds, but for what is changed."""
    found = History()
    for k in range(40):
        found.rounds.append(k)
        for name, values in found.values.items():
            values.append(changed.get(name, {}).get(k, 0.02 + 0.001 * (k % 5)))
    return found


def test_a_quiet_run_has_no_causes() -> None:
    assert history().causes(30, 39) == ()


def test_a_large_kl_is_named_whatever_its_past() -> None:
    (only,) = history(approx_kl=dict.fromkeys(range(40), 0.3)).causes(30, 39)
    assert only == ("KL 0.3 in update 30, above 0.1", 30)


def test_each_metric_is_looked_at_on_its_own_side() -> None:
    up = history(**{name: {35: 0.09} for name in EXPLAIN}).causes(30, 39)
    assert [cause.words.split(" 0.09")[0] for cause in up] == ["KL", "clip fraction", "gradient norm"]
    down = history(**{name: {35: -1.0} for name in EXPLAIN}).causes(30, 39)
    assert down[0].words == "entropy -1 in update 35, at least 0.02 in the 30 rounds before round 30"
    assert [cause.words.split(" -1")[0] for cause in down] == ["entropy", "explained variance"]


def test_without_a_past_only_a_large_kl_is_named() -> None:
    assert history(grad_norm={3: 900.0}, approx_kl={3: 0.5}).causes(2, 4) == (("KL 0.5 in update 3, above 0.1", 3),)


def test_what_is_unknown_is_no_cause() -> None:
    unknown = dict.fromkeys(range(40), math.nan)
    assert history(**dict.fromkeys(EXPLAIN, unknown)).causes(30, 39) == ()
    assert history(grad_norm={33: math.nan, 34: 5.0}).causes(33, 34)[0].words.startswith("gradient norm 5 in update 34")
    assert history().causes(50, 60) == ()

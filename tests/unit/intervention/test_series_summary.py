"""What rounds together say of a removal: changes, p-values corrected for their number, medians and their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.intervention.series_summary import changes, p_value, sentences, summarize


def made_up(k: int, difference: list[float], control: list[float]) -> dict[str, Any]:
    """A round whose original returns 10 in every order."""
    from engine.intervention.comparison import compare

    arms = {"original": 10 + 0 * np.array(difference), "counterfactual": 10 + np.array(difference)}
    arms["control"] = 10 + np.array(control)
    means = {name: values.tolist() for name, values in arms.items()}
    return {
        "round": k,
        "order_means": means,
        "same_machine": True,
        **compare(**{name: values[:, None] for name, values in arms.items()}),
    }


HELPS = [1.0, 1.1, 0.9, 1.05]


NOISE = [0.1, -0.1, 0.05, -0.04]


UNSURE = [0.3, 1.0, 0.5, 0.7]
"""On its own it helps, but not clearly enough among twenty."""


def test_changes_of_a_round() -> None:
    found = changes(made_up(0, [1.0, 0.0], [0.0, -1.0]))
    assert {name: values.tolist() for name, values in found.items()} == {
        "difference": [1, 0],
        "control": [0, -1],
        "difference_from_control": [1, 1],
    }


def test_p_values_follow_the_verdicts() -> None:
    hurts = made_up(0, [-value for value in HELPS], NOISE)
    like_random = made_up(0, HELPS, HELPS)
    none = made_up(0, [0, 0, 0, 0], [0, 0, 0, 0])
    assert (hurts["verdict"], like_random["verdict"], none["verdict"]) == ("hurts", "within noise", "within noise")
    assert p_value(hurts) == p_value(made_up(0, HELPS, [-value for value in NOISE])) < 0.001
    assert p_value(like_random) == p_value(none) == 1
    assert p_value(made_up(0, [1, 1, 1, 1], [0, 0, 0, 0])) == 0, "every order agrees"


def test_summary_counts_corrects_and_says_what_chance_would_do() -> None:
    rounds = [made_up(k, NOISE, NOISE[::-1]) for k in range(18)]
    rounds += [made_up(18, HELPS, NOISE), made_up(19, UNSURE, NOISE)]
    summary = summarize([*rounds, {"round": 20, "skipped": "nothing to remove"}])
    assert rounds[19]["verdict"] == "helps"
    assert (summary["rounds"], summary["helps"], summary["hurts"]) == (20, [18, 19], [])
    assert summary["by_chance"] == pytest.approx(0.5)
    assert summary["corrected"] == {"helps": [18], "hurts": []}
    assert summary["median"]["difference"]["median"] == pytest.approx(np.mean(NOISE))
    said = " ".join(sentences(summary))
    assert "helps in 2 (18-19), hurts in 0 and is within noise in 18" in said
    assert "up to 0.5 of 20 rounds would read helps by chance" in said
    assert "helps is left in 1 (18) and hurts in 0" in said
    assert "Skipped round 20: nothing to remove." in said


def test_the_medians_interval_is_that_of_the_order_statistics() -> None:
    """Of nine rounds the 2nd and the 8th value hold the median with 96 % confidence; five rounds hold none with 95 %."""
    rounds = [made_up(k, [k, k], [0, 0]) for k in range(9)]
    median = summarize(rounds)["median"]["difference"]
    assert (median["median"], median["low"], median["high"]) == (4, 1, 7)
    assert summarize(rounds[:5])["median"]["difference"] == {"median": 2, "low": None, "high": None}

"""What interventions in many rounds say together: pure functions of their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.intervals import CONFIDENCE
from engine.store.read import ranges

FALSE_DISCOVERIES = 0.05
"""Share of wrong verdicts that is accepted among those that are left after the correction for the number of rounds."""

Floats = NDArray[np.float64]


def changes(found: Mapping[str, Any]) -> dict[str, Floats]:
    """Per kind of difference (orders,) values of one round: what the removal changed, and what a random one changed.

    Original [1, 2], counterfactual [2, 2], control [1, 1] -> difference [1, 0], control [0, -1],
    difference_from_control [1, 1].
    """
    arms = {name: np.asarray(values, np.float64) for name, values in found["order_means"].items()}
    return {
        "difference": arms["counterfactual"] - arms["original"],
        "control": arms["control"] - arms["original"],
        "difference_from_control": arms["counterfactual"] - arms["control"],
    }


def summarize(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the interventions in all rounds come to.

    Args:
        rounds: what `across.carry_out_series` says of each, at least one of them not `skipped`.

    Returns:
        `rounds`: how many were carried out; `helps`, `hurts`, `within noise`: the rounds of each verdict; `skipped`: round
        and reason; `by_chance`: how many rounds at most would read `helps`, and as many `hurts`, if removal did nothing;
        `corrected`: the rounds whose verdict is left when the false discoveries among all rounds are held at 5 %
        (Benjamini and Hochberg); `median` of the rounds' mean `difference`, `control` and `difference_from_control`, each
        with `low` and `high`: its distribution-free 95 % interval over the rounds, null for fewer than six rounds;
        `same_machine`: whether all replays are bit-exact.
    """
    carried_out = [found for found in rounds if "skipped" not in found]
    verdicts = {name: [f["round"] for f in carried_out if f["verdict"] == name] for name in ("helps", "hurts")}
    left = _corrected(carried_out)
    values = [{name: float(each.mean()) for name, each in changes(found).items()} for found in carried_out]
    return {
        "rounds": len(carried_out),
        **verdicts,
        "within noise": [f["round"] for f in carried_out if f["verdict"] == "within noise"],
        "skipped": [{"round": f["round"], "reason": f["skipped"]} for f in rounds if "skipped" in f],
        "by_chance": (1 - CONFIDENCE) / 2 * len(carried_out),
        "corrected": {name: [k for k in verdicts[name] if k in left] for name in verdicts},
        "median": {name: _median([each[name] for each in values]) for name in values[0]},
        "same_machine": all(found["same_machine"] for found in carried_out),
    }


def _corrected(rounds: Sequence[Mapping[str, Any]]) -> set[int]:
    from scipy import stats

    adjusted = stats.false_discovery_control([p_value(found) for found in rounds])
    return {found["round"] for found, p in zip(rounds, adjusted, strict=True) if p <= FALSE_DISCOVERIES}


def p_value(found: Mapping[str, Any]) -> float:
    """How likely a verdict as clear as the round's is without an effect; below 0.05 wherever it is `helps` or `hurts`.

    Both differences must lie on one side, so the larger of their one-sided p-values counts; twice, for there are two sides.
    """
    both = [each for name, each in changes(found).items() if name != "control"]
    return min(1.0, 2 * min(max(_above(side * each) for each in both) for side in (1, -1)))


def _above(values: Floats) -> float:
    """One-sided p-value of Student's t: that the mean is above 0."""
    from scipy import stats

    error = float(stats.sem(values))
    if error == 0:
        return float(values.mean() <= 0)
    return float(stats.t.sf(values.mean() / error, len(values) - 1))


def _median(values: Sequence[float]) -> dict[str, float | None]:
    from scipy import stats

    interval = stats.quantile_test(values, p=0.5).confidence_interval(CONFIDENCE)
    low, high = (float(end) if np.isfinite(end) else None for end in (interval.low, interval.high))
    return {"median": float(np.median(values)), "low": low, "high": high}


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """The summary in plain words, a sentence each."""
    n = summary["rounds"]
    chance, corrected, median = summary["by_chance"], summary["corrected"], summary["median"]
    said = [
        f"Of {n} rounds the removal helps in {_counted(summary['helps'])}, hurts in {_counted(summary['hurts'])} and is "
        f"within noise in {len(summary['within noise'])}.",
        f"Without any effect, up to {chance:.2g} of {n} rounds would read helps by chance, and up to {chance:.2g} hurts; "
        f"corrected for the number of rounds (false discoveries at {FALSE_DISCOVERIES:.0%}), "
        f"helps is left in {_counted(corrected['helps'])} and hurts in {_counted(corrected['hurts'])}.",
        f"Median change over the rounds: {interval(median['difference'])}; of the random removal "
        f"{interval(median['control'])}; between the two {interval(median['difference_from_control'])}.",
    ]
    for reason in dict.fromkeys(each["reason"] for each in summary["skipped"]):
        skipped = [each["round"] for each in summary["skipped"] if each["reason"] == reason]
        said.append(f"Skipped round{'s' * (len(skipped) > 1)} {ranges(skipped)}: {reason}.")
    return said


def _counted(rounds: list[int]) -> str:
    """[2, 3, 7] -> `3 (2-3, 7)`."""
    return f"{len(rounds)}" + (f" ({ranges(rounds)})" if rounds else "")


def interval(estimate: Mapping[str, float | None]) -> str:
    """`+0.021 (0.003 to 0.04)`, or the median alone where there is no interval."""
    text = f"{estimate['median']:+.3g}"
    if estimate["low"] is None or estimate["high"] is None:
        return text + " (too few rounds for an interval)"
    return text + f" ({estimate['low']:+.3g} to {estimate['high']:+.3g})"

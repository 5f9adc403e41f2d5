"""What a removal or a repair did to the target and to the return, joined in one sentence, and what to try after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Direction = Literal["rose", "fell", "within noise"]
Attempt = Literal["another estimator", "train on", "more orders"]
"""What to try next: rank the records by another estimator, train on with data collected anew, replay more minibatch orders."""

_JUDGED = {"helps": "better", "hurts": "worse"}
_EXPECTED = {"rose": "rise", "fell": "fall"}


def direction(change: Mapping[str, Any]) -> Direction:
    """Where a change went, by its interval: within noise where it holds 0, or has no bounds.

    >>> direction({"mean": 0.2, "low": 0.1, "high": 0.3}), direction({"mean": 0.2, "low": -0.1, "high": 0.5})
    ('rose', 'within noise')
    """
    if change["low"] is None:
        return "within noise"
    return "rose" if change["low"] > 0 else "fell" if change["high"] < 0 else "within noise"


def foreseen(summed_influence: object) -> Direction | None:
    """Where the target should have gone without records of that summed influence; None where nothing was foreseen.

    >>> foreseen(-0.2), foreseen(None)
    ('rose', None)
    """
    if not isinstance(summed_influence, int | float) or summed_influence == 0:
        return None
    return "rose" if summed_influence < 0 else "fell"


def joined(result: Mapping[str, Any], summed_influence: object = None, returned: str = "return") -> str:
    """Target and return in one line; plain text.

    Args:
        result: what `result.json` of an intervention says.
        summed_influence: of the removed records on the target, by the scores that they were chosen by; None: not known.
        returned: what the run's return is called.

    Returns:
        Such as "Return without them: 171 → 97 (worse); without as many random ones: 150. The target rose as predicted, +0.23
        (+0.1 to +0.36); the return fell, -74 (-90 to -58): here the target is not the return."
    """
    target, predicted = result["target"], foreseen(summed_influence)
    chosen, random = "without them", "without as many random ones"
    if result.get("repair"):
        chosen, random = "with them repaired", "with as many random ones repaired"
    if "unplayed" in result:
        return (
            f"The target {_went(target['counterfactual'], predicted)}. "
            f"{random.capitalize()}: {_signed(target['control'])}. Nothing was played, so nothing is known of the {returned}."
        )
    means = {arm: f"{result[arm]['mean']:.4g}" for arm in ("original", "counterfactual", "control")}
    return (
        f"{returned.capitalize()} {chosen}: {means['original']} → {means['counterfactual']} "
        f"({_JUDGED.get(result['verdict'], 'within noise')}); {random}: {means['control']}. "
        f"The target {_went(target['counterfactual'], predicted)}; the {returned} "
        f"{_went(result['difference'])}{_conclusion(result, returned)}."
    )


def to_try(result: Mapping[str, Any], summed_influence: object = None) -> tuple[Attempt, ...]:
    """What to try after a removal, the most telling first. Arguments as `joined`."""
    went, predicted = direction(result["target"]["counterfactual"]), foreseen(summed_influence)
    if went != "within noise" and predicted not in (None, went):
        return ("another estimator",)
    if "unplayed" in result:
        return ("more orders",) if went == "within noise" else ()
    returns = direction(result["difference"])
    if went == "within noise":
        return ("more orders", "another estimator")
    return ("train on",) if returns == went else ("another estimator", "train on")


def _went(change: Mapping[str, Any], predicted: Direction | None = None) -> str:
    """What became of a number, and whether that was foreseen: `rose as predicted, +0.23 (+0.1 to +0.36)`."""
    went = direction(change)
    if went == "within noise":
        was = "" if predicted is None else f" where a {_EXPECTED[predicted]} was predicted"
        return f"changed within noise{was}, {_signed(change)}"
    said = (
        ""
        if predicted is None
        else " as predicted"
        if predicted == went
        else f", against a predicted {_EXPECTED[predicted]}"
    )
    return f"{went}{said}, {_signed(change)}"


def _conclusion(result: Mapping[str, Any], returned: str) -> str:
    """What follows from both, where the target stands for the return; begins with a colon."""
    if result["target"]["name"] == "action":
        return ""
    target, returns = direction(result["target"]["counterfactual"]), direction(result["difference"])
    if "within noise" not in (target, returns):
        agree = f"here the target goes with the {returned}"
        return f": {agree}" if target == returns else f": here the target is not the {returned}"
    if target != "within noise":
        return f": the target alone does not move the {returned} here"
    if returns != "within noise":
        return f": the target does not explain the {returned} here"
    return ": nothing can be told from it"


def _signed(change: Mapping[str, Any]) -> str:
    """+mean (low to high)."""
    if change["low"] is None:
        return f"{change['mean']:+.3g}"
    return f"{change['mean']:+.3g} ({change['low']:+.3g} to {change['high']:+.3g})"

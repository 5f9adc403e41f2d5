"""What a removal or a repair did: original against counterfactual against control, with intervals and a verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from engine.intervals import t_reach

Verdict = Literal["helps", "hurts", "within noise"]

TargetVerdict = Literal["target rises", "target falls", "within noise"]


class _Done(NamedTuple):
    """How a verdict speaks of what was done to the records."""

    name: str
    chosen: str
    original: str
    random: str

    def against_both(self, what: str, how: str) -> str:
        """That what came of the chosen records lies on one side of the original and of the control."""
        return f"{self.chosen} {what} is {how} than {self.original}, and {how} than {self.random}."


_REMOVAL = _Done("removal", "without these records", "with them", "without as many random ones")
_REPAIR = _Done("repair", "with these records repaired", "without a repair", "with as many random ones repaired")


def _of_return(done: _Done) -> Mapping[Verdict, str]:
    return {
        "helps": done.against_both("the return", "higher"),
        "hurts": done.against_both("the return", "lower"),
        "within noise": f"the change is no clearer than that of other minibatch orders, evaluation luck or a random {done.name} "
        "of the same size.",
    }


def _of_target(done: _Done) -> Mapping[TargetVerdict, str]:
    """Where nothing was played, so that nothing is known of returns; `{target}` is what the verdict is about."""
    return {
        "target rises": done.against_both("{target}", "higher"),
        "target falls": done.against_both("{target}", "lower"),
        "within noise": "the change of {target} is no clearer than that of other minibatch orders or a random "
        f"{done.name} of the same size.",
    }


VERDICT_WORDS = _of_return(_REMOVAL)
"""What follows the verdict of a removal and a colon."""
_OF_TARGET: Mapping[Verdict, TargetVerdict] = {
    "helps": "target rises",
    "hurts": "target falls",
    "within noise": "within noise",
}


def verdict_name(verdict: object) -> str:
    """A verdict that comes from a file, or that it is none; plain text."""
    return str(verdict) if verdict in [*get_args(Verdict), *get_args(TargetVerdict)] else f"unknown verdict {verdict!r}"


def meaning(verdict: object, repair: bool = False) -> str:
    """What follows a verdict that comes from a file, and a colon; plain text. `repair`: it is not of a removal."""
    return _words(verdict, _of_return(_REPAIR if repair else _REMOVAL))


def target_meaning(verdict: object, target: str, repair: bool = False) -> str:
    """The same of a verdict about a target, which is named; plain text."""
    return _words(verdict, _of_target(_REPAIR if repair else _REMOVAL)).replace("{target}", target)


def _words(verdict: object, words: Mapping[Any, str]) -> str:
    known = (text for name, text in words.items() if name == verdict)
    return next(known, f"this version knows {', '.join(words)}.")


@dataclass(frozen=True)
class Estimate:
    """A mean and its confidence interval."""

    mean: float
    low: float
    high: float
    episodes: int
    """Evaluation episodes behind it."""

    @classmethod
    def of(cls, blocks: Sequence[float] | NDArray[np.float64], episodes: int) -> Estimate:
        """Student's t interval over independent replicates (one mean per minibatch order).

        [1, 3] -> mean 2, interval 2 -+ 12.7. A single replicate has an infinite interval.
        """
        from scipy import stats

        values = np.asarray(blocks, np.float64)
        mean = float(values.mean())
        if len(values) < 2:
            return cls(mean, -np.inf, np.inf, episodes)
        spread = float(stats.sem(values)) * float(t_reach(len(values) - 1))
        return cls(mean, mean - spread, mean + spread, episodes)

    def to_json(self) -> dict[str, Any]:
        """`mean, low, high, episodes`; an infinite bound is null."""
        bounds = {name: value if np.isfinite(value) else None for name, value in vars(self).items()}
        return bounds | {"episodes": self.episodes}


def compare(
    original: NDArray[np.float64], counterfactual: NDArray[np.float64], control: NDArray[np.float64]
) -> dict[str, Any]:
    """Compare three arms that share minibatch orders and evaluation seeds.

    Replay q of each arm uses minibatch order q and block q of the evaluation seeds; the control's replay q removes the
    q-th random draw. The orders are the independent replicates: intervals and differences are taken over them.

    Args:
        original: (orders, episodes) returns with every record.
        counterfactual: (orders, episodes) returns without the chosen records, or with these repaired.
        control: (orders, episodes) returns without as many random records, or with these repaired.

    Returns:
        `original, counterfactual, control, difference, difference_from_control` (each mean, low, high, episodes) and
        `verdict`. The verdict is `helps` or `hurts` only if both differences exclude 0 on the same side.
    """
    episodes = original.size
    arms = {"original": original, "counterfactual": counterfactual, "control": control}
    means = {name: arm.mean(axis=1) for name, arm in arms.items()}
    difference = Estimate.of(means["counterfactual"] - means["original"], episodes)
    from_control = Estimate.of(means["counterfactual"] - means["control"], episodes)
    return {
        **{name: Estimate.of(mean, episodes).to_json() for name, mean in means.items()},
        "difference": difference.to_json(),
        "difference_from_control": from_control.to_json(),
        "verdict": verdict(difference, from_control),
    }


def changes(original: Sequence[float], counterfactual: Sequence[float], control: Sequence[float]) -> dict[str, Any]:
    """How a number changed that needs no episodes, in three arms that share minibatch orders.

    Args:
        original: (orders,) with every record.
        counterfactual: (orders,) without the chosen records.
        control: (orders,) without as many random records, drawn anew for each order.

    Returns:
        `counterfactual` and `control`: the change from the original; `difference_from_control`, of the first from the second
        (each mean, low, high); `order_values` of the arms.
    """
    arms = {"original": original, "counterfactual": counterfactual, "control": control}
    pairs = {
        "counterfactual": (counterfactual, original),
        "control": (control, original),
        "difference_from_control": (counterfactual, control),
    }
    found = {name: change(*pair).to_json() for name, pair in pairs.items()}
    return {
        **{name: {bound: each[bound] for bound in ("mean", "low", "high")} for name, each in found.items()},
        "order_values": {name: list(values) for name, values in arms.items()},
    }


def change(values: Sequence[float], before: Sequence[float]) -> Estimate:
    """From one arm to another, over the minibatch orders, which they share."""
    return Estimate.of(np.asarray(values) - np.asarray(before), 0)


def target_verdict(
    original: Sequence[float], counterfactual: Sequence[float], control: Sequence[float]
) -> TargetVerdict:
    """The verdict of (orders,) values of a target in the three arms, by the same rule as `verdict`."""
    return _OF_TARGET[verdict(change(counterfactual, original), change(counterfactual, control))]


def verdict(difference: Estimate, from_control: Estimate) -> Verdict:
    """`helps` if both intervals lie above 0, `hurts` if both lie below, else `within noise`."""
    if difference.low > 0 and from_control.low > 0:
        return "helps"
    if difference.high < 0 and from_control.high < 0:
        return "hurts"
    return "within noise"

"""What differs between two runs in the same rounds: metrics, rewards and actions, paired by round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.analysis.incidents.not_finite import number
from engine.core.kind import kind_of
from engine.intervals import CONFIDENCE, Interval
from engine.store.read import Run

MOST_ROUNDS, LEAST_ROUNDS = 8, 5
"""That are compared: at most, and for intervals that tell something."""
MOST_ACTIONS = 20
"""Different actions up to which their shares are compared."""
SAME_BY_DESIGN = ("records", "steps", "episodes")
"""Metrics that count, and say nothing that others don't say."""
Values = Mapping[str, float]


@dataclass(frozen=True)
class RoundDifference:
    """One number in the same rounds of two runs."""

    name: str
    means: tuple[float, float]
    """Of both runs, over the rounds."""
    difference: Interval
    """First run less the other; paired by round, corrected for how many numbers were looked at."""
    jump: Interval
    """By how much the difference in the last of the rounds lies above that of the rounds before it, as far as these vary;
    corrected likewise."""
    standardised: float | None
    """In standard deviations of the number from round to round within a run; None where it doesn't vary."""

    @property
    def beyond_noise(self) -> bool:
        """Whether it differs by more than it does from round to round, in all rounds or in the last one."""
        return any(each.low > 0 or each.high < 0 for each in (self.difference, self.jump))

    @property
    def size(self) -> float:
        """How far apart they are, to be held against others."""
        return math.inf if self.standardised is None else abs(self.standardised)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "means": list(self.means),
            "difference": self.difference.value,
            "low": self.difference.low,
            "high": self.difference.high,
            "jump": self.jump.value,
            "jump_low": self.jump.low,
            "jump_high": self.jump.high,
            "standardised": self.standardised,
            "beyond_noise": self.beyond_noise,
        }


def rounds_before(one: Run, other: Run, round: int) -> list[int]:
    """The last rounds before this one that both runs have, in order; at most `MOST_ROUNDS`."""
    both = {info.round for info in one.rounds} & {info.round for info in other.rounds}
    return sorted(k for k in both if k < round)[-MOST_ROUNDS:]


def differences(one: Run, other: Run, rounds: Sequence[int]) -> list[RoundDifference]:
    """Every number that both runs have in all of these rounds, the one that differs most first.

    Metrics of the commits; where the records are stored the mean reward, and the share of each action. Neighbouring rounds are
    not quite independent, so what differs here is a hint and no cause.

    Args:
        one: a run.
        other: another one, of the same environment.
        rounds: at least three, or none; fewer than `LEAST_ROUNDS` say little.
    """
    if not rounds:
        return []
    both = [_by_round(run, rounds) for run in (one, other)]
    return compared(*both)


def compared(one: Sequence[Values], other: Sequence[Values]) -> list[RoundDifference]:
    """The same of numbers by round: (rounds,) each, at least three.

    >>> first = [{"entropy": 0.9 + k / 10, "kl": 0.1} for k in range(4)]
    >>> other = [{"entropy": 0.1 + k / 10, "kl": 0.1} for k in range(4)]
    >>> [(each.name, round(each.difference.value, 3), each.beyond_noise) for each in compared(first, other)]
    [('entropy', 0.8, True)]
    """
    names = set.intersection(*(set(values) for values in (*one, *other)))
    columns = {name: np.array([[values[name] for values in run] for run in (one, other)]) for name in sorted(names)}
    columns = {name: both for name, both in columns.items() if (both[0] != both[1]).any()}
    found = [_difference(name, both, len(columns)) for name, both in columns.items()]
    return sorted(found, key=lambda each: (not each.beyond_noise, -each.size))


def _difference(name: str, both: Any, looked_at: int) -> RoundDifference:
    """(2, rounds) values."""
    apart, confidence = both[0] - both[1], 1 - (1 - CONFIDENCE) / (2 * looked_at)
    difference, jump = Interval.of_mean(apart, confidence), Interval.of_next(apart[-1], apart[:-1], confidence)
    spread = math.sqrt(both.var(axis=1, ddof=1).mean())
    first, other = both.mean(axis=1).tolist()
    return RoundDifference(name, (first, other), difference, jump, difference.value / spread if spread else None)


def _by_round(run: Run, rounds: Sequence[int]) -> list[dict[str, float]]:
    metrics = {info.round: info.metrics for info in run.rounds}
    return [_of_metrics(metrics[k]) | (_of_records(run, k) if k in run.stored_rounds else {}) for k in rounds]


def _of_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    looked_at = {
        name: number(value)
        for name, value in metrics.items()
        if not name.endswith("_seconds") and name not in SAME_BY_DESIGN
    }
    return {name: value for name, value in looked_at.items() if math.isfinite(value)}


def _of_records(run: Run, k: int) -> dict[str, float]:
    """Mean reward and shares of actions, where a round's records have them."""
    snapshot = run.snapshot(k)
    reward, action = (np.asarray(getattr(snapshot.buffer, name, ())) for name in ("reward", "action"))
    found = {"reward": float(reward.mean())} if len(reward) and reward.dtype.kind == "f" else {}
    if (
        action.ndim == 1
        and action.dtype.kind == "i"
        and action.size
        and 0 <= action.min() <= action.max() < MOST_ACTIONS
    ):
        names = kind_of(snapshot).action_names(snapshot) or [str(each) for each in range(action.max() + 1)]
        shares = np.bincount(action, minlength=len(names)) / len(action)
        found |= {f"share of action {name}": share for name, share in zip(names, shares.tolist(), strict=False)}
    return found

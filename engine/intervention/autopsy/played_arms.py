"""What came of the arms, and what a fall is the doing of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.intervals import CONFIDENCE, Interval
from engine.intervention.autopsy.arm import CAUSES, Arm, Cause
from engine.intervention.autopsy.kept_returns import AFTER, BEFORE, Returns, on_more_seeds

FIRST, MOST = 4, 8
"""Replicates of an arm, and of one that decides while it is open what it says."""
RECOVERED = 0.5
"""Share of the fall that an arm takes back at least where it explains it."""


@dataclass(frozen=True)
class PlayedPolicy:
    """A policy of the record, which arms are held against."""

    name: str
    mean: Interval
    """Return; over its episodes."""
    difference: Interval
    """To what the recorded update made, paired."""
    episodes: int
    """On the seeds of the arms."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "cause": None,
            **_numbers(self.mean, self.difference),
            "replicates": 1,
            "episodes": self.episodes,
        }


@dataclass(frozen=True)
class PlayedArm:
    """What came of an arm."""

    name: str
    cause: Cause
    mean: Interval
    """Return on the seeds that all arms play; over the arm's replicates."""
    difference: Interval
    """To what the recorded update made, on all seeds that the arm plays; corrected for the number of causes that were asked."""
    replicates: int
    what: str = ""
    """The arm in numbers."""
    lead: bool = False
    """Whether it decides on its cause."""
    control: str = ""
    """Name of the arm that it must be better than as well; empty for none."""
    against_control: Interval | None = None
    """Difference to that arm, in the same minibatch orders; None where it is not known."""
    tries: Mapping[str, Any] = field(default_factory=dict)
    """Settings to train with next where it takes the fall back."""
    needed: float = 0.0
    """How much of the fall it must take back to explain it: half, or where other orders alone take back some, that and half of
    what they leave; on the seeds of the arms."""
    reach: float = math.nan
    """How far the arm's own 95 % interval goes to either side of the difference."""
    episodes: int = 0
    """Of each replicate."""

    @property
    def takes_back(self) -> bool:
        """Whether it undoes as much of the fall as is needed, certainly some of it, and more than its control does."""
        better = not self.control or (self.against_control is not None and self.against_control.low > 0)
        return better and self.difference.low > 0 and self.difference.value >= self.needed

    @property
    def is_open(self) -> bool:
        """Whether more replicates could say something else: what is needed lies in its own 95 % interval, or is not certain."""
        over = self.difference.value - self.needed
        return abs(over) < self.reach or (over >= 0 and not self.takes_back)

    @property
    def sentence(self) -> str:
        """What it came to, in words; without its end."""
        value, low, high = self.difference
        name = f"{self.name[:1].upper()}{self.name[1:]}"
        return f"{name}: {value:+.3g} ({low:+.3g} to {high:+.3g}) against as recorded, {self.replicates} times"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        against = self.against_control
        return {
            "name": self.name,
            "cause": self.cause,
            "what": self.what,
            "decides": self.lead,
            **_numbers(self.mean, self.difference),
            "against_control": None if against is None else list(against),
            "replicates": self.replicates,
            "episodes": self.episodes,
        }


def _numbers(mean: Interval, difference: Interval) -> dict[str, float]:
    """As both kinds of rows say them."""
    names = "mean", "low", "high", "difference", "difference_low", "difference_high"
    return dict(zip(names, (*mean, *difference), strict=True))


def policy_of(arm: Arm, which: int) -> str:
    """What a replicate of an arm is called.

    >>> policy_of(Arm("half the learning rate", "step", lambda which, check: None), 0)
    'half the learning rate, 1'
    """
    return f"{arm.kept_as}, {which + 1}"


def policies_on_more_seeds(arm: Arm) -> list[str]:
    """What all replicates of an arm are called on more seeds."""
    return [on_more_seeds(policy_of(arm, which)) for which in range(MOST)]


def replicates(arm: Arm, returns: Returns) -> int:
    """How many of an arm are played, in turn."""
    return next((which for which in range(MOST) if policy_of(arm, which) not in returns), MOST)


def change(returns: Returns) -> Interval:
    """Of the mean return by the update, paired."""
    return Interval.of_mean(returns[AFTER] - returns[BEFORE])


def had(arms: Sequence[Arm], returns: Returns) -> list[Arm]:
    """Those that can be played, as far as is known by now."""
    return [arm for arm in arms if not arm.why_not and arm.kept_as not in returns.left_out]


def played(arms: Sequence[Arm], returns: Returns) -> tuple[PlayedArm, ...]:
    """Every arm of which there are replicates to compare, on the seeds of the two policies."""
    there = [arm for arm in had(arms, returns) if replicates(arm, returns) > 1]
    asked = max(1, sum(arm.lead for arm in had(arms, returns)))
    differences = {arm.name: _differences(arm, returns, more=has_more_seeds(arm, returns)) for arm in there}
    of_orders = [float(differences[arm.name].mean()) for arm in there if arm.cause == "order"]
    by_name = {arm.name: arm for arm in there}
    return tuple(
        PlayedArm(
            name=arm.name,
            cause=arm.cause,
            mean=Interval.of_mean(_means(arm, returns)),
            difference=_corrected(differences[arm.name], asked),
            replicates=len(differences[arm.name]),
            what=arm.what,
            lead=arm.lead,
            control=arm.control,
            against_control=_against(arm, by_name.get(arm.control), returns, asked),
            tries=arm.tries,
            needed=_needed(_fall(arm, returns), [0.0] if arm.cause == "order" else [0.0, *of_orders]),
            reach=_half_width(Interval.of_mean(differences[arm.name])),
            episodes=returns.of_arms + returns.episodes * has_more_seeds(arm, returns),
        )
        for arm in there
    )


def has_more_seeds(arm: Arm, returns: Returns) -> bool:
    """Whether all replicates of an arm were played on more seeds, and so were the policies that they are compared with."""
    wanted = [on_more_seeds(BEFORE), on_more_seeds(AFTER), *policies_on_more_seeds(arm)]
    return all(policy in returns for policy in wanted)


def recorded(returns: Returns) -> tuple[PlayedPolicy, ...]:
    """The policies before and after the update on the seeds of the arms, which are held against them."""
    before, after = (returns[name][: returns.of_arms] for name in (BEFORE, AFTER))
    return tuple(
        PlayedPolicy(name, Interval.of_mean(values), Interval.of_mean(values - after), returns.of_arms)
        for name, values in ((BEFORE, before), ("as recorded", after))
    )


def cause_of(arms: Sequence[PlayedArm]) -> Cause | None:
    """The first cause whose deciding arm takes the fall back.

    The causes are compared as wholes, each by one arm, and in a fixed order, since the arm with the largest effect is not the
    cause: in a fall by the luck of the data nearly every arm does better. The intervals of the deciding arms are corrected for
    their number (Bonferroni); they are two-sided and one side counts, which leaves room for looks at the open ones with more
    orders and with more seeds: three looks at 2.5 % find something by chance in about 5 % (Pocock 1977), since they share data.
    """
    return next((arm.cause for arm in in_turn(arms) if arm.takes_back), None)


def remedy_of(cause: str, arms: Sequence[PlayedArm]) -> Mapping[str, Any]:
    """Settings of the mildest arm of a cause that takes the fall back, the others before the one that decides; or none.

    Args:
        cause: what the fall is the doing of; anything else has no remedy.
        arms: what was played, of each cause the mildest first.
    """
    own = [arm for arm in arms if arm.cause == cause and arm.tries and arm.takes_back]
    return next((arm.tries for arm in sorted(own, key=lambda arm: arm.lead)), {})


def in_turn(arms: Sequence[PlayedArm]) -> list[PlayedArm]:
    """The arms that decide, in the order in which causes are asked."""
    return sorted((arm for arm in arms if arm.lead), key=lambda arm: CAUSES.index(arm.cause))


def undecided(arms: Sequence[PlayedArm]) -> list[str]:
    """Names of the deciding arms that are open and could change the verdict: those up to the one that settles it."""
    found: list[str] = []
    for arm in in_turn(arms):
        if arm.is_open:
            found.append(arm.name)
        elif arm.takes_back:
            break
    return found


def _means(arm: Arm, returns: Returns, more: bool = False) -> NDArray[np.float64]:
    """(replicates,) mean returns on the first seeds, or on these and more."""
    return np.array([_of(policy_of(arm, which), returns, more).mean() for which in range(replicates(arm, returns))])


def _of(policy: str, returns: Returns, more: bool) -> NDArray[np.float64]:
    """(episodes,) returns of a policy on the seeds of arms."""
    first = returns[policy][: returns.of_arms]
    return np.concatenate([first, returns[on_more_seeds(policy)]]) if more else first


def _differences(arm: Arm, returns: Returns, more: bool) -> NDArray[np.float64]:
    """(replicates,) to what the recorded update made, on the same seeds."""
    return _means(arm, returns, more) - _of(AFTER, returns, more).mean()


def _fall(arm: Arm, returns: Returns) -> float:
    """Of the mean return by the update, on the seeds of an arm."""
    before, after = (_of(policy, returns, has_more_seeds(arm, returns)).mean() for policy in (BEFORE, AFTER))
    return float(before - after)


def _half_width(interval: Interval) -> float:
    return interval.high - interval.value


def _needed(fall: float, without: Sequence[float]) -> float:
    """Half of what is left of a fall, beyond what is taken back without the arm's own doing."""
    alone = max(without)
    return max(0.0, float(alone + RECOVERED * (fall - alone)))


def _corrected(values: NDArray[np.float64], asked: int) -> Interval:
    return Interval.of_mean(values, 1 - (1 - CONFIDENCE) / asked)


def _against(arm: Arm, control: Arm | None, returns: Returns, asked: int) -> Interval | None:
    """Of the differences by minibatch order; unknown where there are not two of them."""
    if control is None:
        return None
    more = has_more_seeds(arm, returns) and has_more_seeds(control, returns)
    own, others = (_differences(each, returns, more) for each in (arm, control))
    both = min(len(own), len(others))
    return _corrected(own[:both] - others[:both], asked)

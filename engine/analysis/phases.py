"""The three phases in which a behaviour forms, marked where the curves show them (paper, section 4.2).

The paper sees them: first an action is associated with success whatever the state (initial association), then records of
similar states push it (semantic clustering), then there is nothing left to push (saturation). This file says when they are
seen here, by one rule on smoothed curves; where the rule is not met, the phase is not clear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

ASSOCIATION, CLUSTERING, SATURATION = "initial association", "semantic clustering", "saturation"
PHASES = (ASSOCIATION, CLUSTERING, SATURATION)

SMOOTHED = 5
"""Recorded rounds that a smoothed value is the mean of, the round in the middle."""
SHORTEST = 3
"""Rounds in a row that make a phase."""
FEWEST = 5
"""Rounds below which nothing is said."""
CERTAIN = 0.9
"""Pi(a|s) that is nearly all there is."""
LOST = 0.5
"""Pi(a|s) below which a behaviour that was saturated is unlearned."""
FADED = 0.5
"""Of the largest size of influence: what is left when it has faded."""
SHARED_ACTION = 0.25
"""By how much the top records' share with the action exceeds that of all records."""
SIMILAR_STATES = 0.5
"""Share of the top records that come from similar states."""
TIMES_CHANCE = 2.0
"""By how much that exceeds the share of all records."""
SMOOTHER = 0.95
"""Roughness, divided by that of shuffled scores, at which influence follows the states."""

RULE = {
    ASSOCIATION: "the top records share the action more often than all records do, by at least 25 percentage points, but not "
    "yet the state (the second rule is not met)",
    CLUSTERING: "at least half of the top records, and at least twice as many as of all records, are in similar states, and "
    "influence is smoother over similar states than chance: roughness is at most 0.95 of what shuffled scores have",
    SATURATION: "π(a | s) is at least 0.9, and the mean |influence| at most half of its largest value",
}
"""The rule in plain words. It is asked of every recorded round, of the mean over it and its two neighbours on either side;
the later phase wins; a phase takes three rounds in a row."""


@dataclass(frozen=True, eq=False)
class Curves:
    """What the rule looks at, one number a recorded round; NaN where there is none."""

    rounds: Sequence[int]
    probability: NDArray[np.float64]
    """Pi(a|s) before the round's update; NaN throughout for continuous actions, whose density has no ceiling."""
    magnitude: NDArray[np.float64]
    """Mean |I|."""
    same_action: NDArray[np.float64]
    """Share of the top records that took the action."""
    same_action_of_all: NDArray[np.float64]
    similar_state: NDArray[np.float64]
    """Share of the top records in similar states."""
    similar_state_of_all: NDArray[np.float64]
    roughness: NDArray[np.float64]
    """Divided by that of shuffled scores."""


@dataclass(frozen=True)
class Stretch:
    """Rounds in a row that are in one phase."""

    phase: str
    first: int
    last: int


@dataclass(frozen=True)
class Phases:
    """Which rounds are in which phase, and why others are in none."""

    stretches: tuple[Stretch, ...]
    """In the order of the rounds; a phase may come more than once."""
    findings: dict[str, str]
    """Phase -> one sentence: when, or why it is not clear."""
    remarks: tuple[str, ...] = ()
    """What else must be said: another order than the paper's, a behaviour that was unlearned again."""


def phases(curves: Curves) -> Phases:
    """Mark the three phases by `RULE`."""
    if len(curves.rounds) < FEWEST:
        why = f"not clear: {_rounds(len(curves.rounds))} with records; the rule needs {FEWEST}"
        return Phases((), dict.fromkeys(PHASES, why))
    parts = unbroken(curves.rounds)
    smooth = {
        name: np.concatenate([smoothed(np.asarray(getattr(curves, name), np.float64)[part]) for part in parts])
        for name in vars(curves)
        if name != "rounds"
    }
    met = _met(smooth)
    labels = np.full(len(curves.rounds), -1)
    for i, phase in enumerate(PHASES):
        labels[met[phase]] = i
    stretches = tuple(
        Stretch(PHASES[label], curves.rounds[first], curves.rounds[last])
        for part in parts
        for label, first, last in _runs(labels, part)
        if label >= 0 and last - first + 1 >= SHORTEST
    )
    findings = {phase: _finding(phase, stretches, smooth, met) for phase in PHASES}
    return Phases(stretches, findings, tuple(_remarks(stretches, curves.rounds, smooth)))


def _met(smooth: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.bool_]]:
    """Which rounds fulfil each rule, alone. A comparison with NaN is false: what is not known fulfils nothing."""
    similar, by_chance = smooth["similar_state"], smooth["similar_state_of_all"]
    shared = smooth["same_action"] >= smooth["same_action_of_all"] + SHARED_ACTION
    clustered = (similar >= SIMILAR_STATES) & (similar >= TIMES_CHANCE * by_chance) & (smooth["roughness"] <= SMOOTHER)
    magnitude = smooth["magnitude"]
    faded = magnitude <= FADED * np.nanmax(magnitude, initial=0.0)
    return {ASSOCIATION: shared, CLUSTERING: clustered, SATURATION: (smooth["probability"] >= CERTAIN) & faded}


def _finding(
    phase: str,
    stretches: Sequence[Stretch],
    smooth: dict[str, NDArray[np.float64]],
    met: dict[str, NDArray[np.bool_]],
) -> str:
    own = [stretch for stretch in stretches if stretch.phase == phase]
    if own:
        return "rounds " + ", ".join(f"{stretch.first} to {stretch.last}" for stretch in own)
    return f"not clear: {_why_not(phase, stretches, smooth, met)}"


def _why_not(
    phase: str,
    stretches: Sequence[Stretch],
    smooth: dict[str, NDArray[np.float64]],
    met: dict[str, NDArray[np.bool_]],
) -> str:
    """The first part of the rule that fails."""
    probability, highest = smooth["probability"], np.nanmax(smooth["similar_state"], initial=0.0)
    elsewhere = any(stretch.phase != ASSOCIATION for stretch in stretches)
    reasons = {
        SATURATION: (
            (np.isnan(probability).all(), "the actions are continuous, and a density has no ceiling"),
            (
                not (probability >= CERTAIN).any(),
                f"π(a | s) never stays at {CERTAIN} or above; its highest smoothed value is "
                f"{np.nanmax(probability, initial=0.0):.2f}",
            ),
            (not met[phase].any(), f"where π(a | s) reaches {CERTAIN}, influence has not faded to half of its largest"),
        ),
        ASSOCIATION: (
            (
                not met[phase].any(),
                "the top records never share the action clearly more often than all records do",
            ),
            (
                elsewhere,
                "where the top records share the action, they already come from similar states, or the policy is certain",
            ),
        ),
        CLUSTERING: (
            (
                highest < SIMILAR_STATES,
                f"never half of the top records come from similar states; the highest smoothed share is {highest:.0%}",
            ),
            (
                not met[phase].any(),
                "the top records come from similar states no more often than chance, or influence does not follow the states",
            ),
        ),
    }
    nothing = not np.nanmax(smooth["magnitude"], initial=0.0)
    first = ((nothing and phase != SATURATION, "no record of any round pushes this action"), *reasons[phase])
    return next((why for failed, why in first if failed), f"fewer than {SHORTEST} rounds in a row fulfil the rule")


def _remarks(stretches: Sequence[Stretch], rounds: Sequence[int], smooth: dict[str, NDArray[np.float64]]) -> list[str]:
    remarks = []
    order = list(dict.fromkeys(stretch.phase for stretch in stretches))
    if order != [phase for phase in PHASES if phase in order]:
        remarks.append(f"The phases begin in another order than in the paper: {', then '.join(order)}.")
    for stretch in stretches:
        if stretch.phase == SATURATION:
            after = [i for i, number in enumerate(rounds) if number > stretch.last and smooth["probability"][i] < LOST]
            if after:
                remarks.append(
                    f"Unlearned again: after the saturation of rounds {stretch.first} to {stretch.last} "
                    f"π(a | s) falls below {LOST} from round {rounds[after[0]]} on."
                )
                break
    return remarks


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running mean of what is known, over fewer rounds at the ends."""
    half = SMOOTHED // 2
    windows = [values[max(i - half, 0) : i + half + 1] for i in range(len(values))]
    return np.array([np.nanmean(w) if not np.isnan(w).all() else math.nan for w in windows])


def unbroken(rounds: Sequence[int]) -> list[slice]:
    """Stretches of recorded rounds without a gap: a step of more than twice the usual one is a gap."""
    if len(rounds) <= 1:
        return [slice(0, len(rounds))]
    steps = np.diff(np.asarray(rounds))
    breaks = [0, *(np.flatnonzero(steps > 2 * np.median(steps)) + 1).tolist(), len(rounds)]
    return [slice(first, last) for first, last in pairwise(breaks)]


def _runs(labels: NDArray[np.int64], part: slice) -> list[tuple[int, int, int]]:
    """(label, first, last position) of equal labels in a row."""
    found: list[tuple[int, int, int]] = []
    for i in range(part.start, part.stop):
        if found and found[-1][0] == labels[i]:
            found[-1] = (found[-1][0], found[-1][1], i)
        else:
            found.append((int(labels[i]), i, i))
    return found


def _rounds(n: int) -> str:
    return f"{n} round" if n == 1 else f"{n} rounds"

"""What the results say: after how many rounds, sequences and seconds a policy is courteous, against PPO, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.demos.courtesy.experiment.plan import CONDITIONS, RUDE
from engine.demos.courtesy.experiment.results import CourtesyResults
from engine.experiments.plans import STANDARD
from engine.intervals import Interval, t_reach

Floats = NDArray[np.float64]

COSTS = {"rounds": "rounds", "sequences": "generated sequences", "seconds": "CPU seconds"}
FLUENT = 0.9
"""Fluency below which a text is said to have suffered; the policy before training has some .97."""


@dataclass(frozen=True)
class Reached:
    """What it cost an arm to be rude less than `RUDE` of the time, by seed."""

    condition: str
    arm: str
    seeds: Sequence[int]
    costs: dict[str, Floats]
    """`COSTS` -> (seeds,); where it was never reached, one round more than there were, a bound in the arm's favour."""
    never: int
    """How many of the seeds never reached it."""


def reached(results: CourtesyResults, condition: str, arm: str, level: float = RUDE, fluent: float = 0) -> Reached:
    """When the judged rude rate is first below `level`, with a fluency of at least `fluent`."""
    rude = results.column((condition, arm), "rude")
    below = (rude < level) & (results.column((condition, arm), "fluency") >= fluent)
    never = ~below.any(1)
    rounds = np.where(never, rude.shape[1], below.argmax(1))
    costs = {"rounds": rounds.astype(np.float64)}
    for name in ("sequences", "seconds"):
        total = results.column((condition, arm), name).cumsum(1)
        one_more = total[:, -1:] + total[:, -1:] / max(1, rude.shape[1] - 1)
        costs[name] = np.take_along_axis(np.hstack([total, one_more]), rounds[:, None], 1)[:, 0]
    return Reached(condition, arm, results.finished[condition, arm], costs, int(never.sum()))


def ratio(arm: Reached, standard: Reached, cost: str) -> Interval | None:
    """The arm's cost as a share of PPO's on the same seed: geometric mean, with a 95 % t interval of the logarithm.

    None where they share no seed; NaN to NaN with a single one.
    """
    shared = sorted(set(arm.seeds) & set(standard.seeds))
    if not shared:
        return None
    mine, its = ([of.costs[cost][list(of.seeds).index(seed)] for seed in shared] for of in (arm, standard))
    found = mean_over_seeds(np.log(np.maximum(mine, 1e-9)) - np.log(np.maximum(its, 1e-9)))
    return Interval(*(float(np.exp(value)) for value in (found.value, found.low, found.high)))


def mean_over_seeds(values: Floats) -> Interval:
    """Mean over seeds with its 95 % t interval; NaN to NaN with fewer than two.

    [1, 2, 3] -> 2 (-0.48 to 4.48).
    """
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = float(t_reach(n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def share(values: Floats) -> Interval:
    """`mean_over_seeds` of numbers that lie in [0, 1]."""
    found = mean_over_seeds(values)
    return Interval(found.value, *(float(np.clip(end, 0, 1)) for end in (found.low, found.high)))


def detection(results: CourtesyResults, round: int = 1) -> dict[str, Interval] | None:
    """AUC of the planted flips in a round by `influence` and by `reward`, over seeds; None where there are none."""
    if not results.finished.get(("flipped", "iif")):
        return None
    return {
        name: share(results.column(("flipped", "iif"), f"auc_{name}")[:, round]) for name in ("influence", "reward")
    }


def sentences(results: CourtesyResults) -> list[str]:
    """The findings in words, each with its figures; nothing is said of what is not there."""
    found: list[str] = []
    for condition in CONDITIONS:
        for arm in results.plan.arms:
            if results.finished[condition, arm]:
                found.append(_reached_in_words(results, condition, arm))
    detected = detection(results)
    if detected:
        influence, reward = detected["influence"], detected["reward"]
        found.append(
            f"Finding the planted flips in the first round: AUC {spell(influence)} by influence, {spell(reward)} by the "
            "reward as training saw it."
        )
        found += _overtaken(results)
    return found


def _overtaken(results: CourtesyResults) -> list[str]:
    """From which round on the reward finds the flips better than influence."""
    influence, reward = (
        results.column(("flipped", "iif"), f"auc_{name}")[:, 1:].mean(0) for name in ("influence", "reward")
    )
    behind = np.flatnonzero(reward > influence)
    if not len(behind):
        return []
    i = behind[0]
    return [
        f"In round {i + 1} the reward alone finds them better: AUC {reward[i]:.2f} against {influence[i]:.2f}, in the last round "
        f"{reward[-1]:.2f} against {influence[-1]:.2f}. Where hardly anything is rude, a low reward is a flipped one."
    ]


def _reached_in_words(results: CourtesyResults, condition: str, arm: str) -> str:
    mine = reached(results, condition, arm)
    seeds, rounds = len(mine.seeds), _rounds(results, mine)
    fluency = results.column((condition, arm), "fluency")
    text = f"{condition.capitalize()} rewards, {arm}: "
    if mine.never == seeds:
        text += f"never rude less than {RUDE:.0%} of the time within {results.plan.rounds} rounds"
    else:
        text += f"rude less than {RUDE:.0%} of the time after {rounds} rounds"
        text += f" ({mine.never} of {seeds} seeds never)" if mine.never else ""
    if arm != STANDARD and results.finished.get((condition, STANDARD)):
        standard = reached(results, condition, STANDARD)
        part = ratio(mine, standard, "rounds")
        bound = "at most " if standard.never and not mine.never else ""
        text += f", {bound}{spell(part)} of PPO's rounds" if part else ""
    if mine.never < seeds:
        fluent = reached(results, condition, arm, fluent=FLUENT)
        both = _rounds(results, fluent)
        text += f"; with at least {FLUENT:.0%} of the text fluent after {both}"
    last, lowest = fluency[:, -1].mean(), fluency.min()
    suffered = ": the text has suffered" if last < FLUENT else ""
    return f"{text}; fluency at the end {last:.2f}, at its lowest after any round {lowest:.2f}{suffered}."


def _rounds(results: CourtesyResults, one: Reached) -> str:
    """`10, never, 7`, by seed."""
    return ", ".join("never" if value > results.plan.rounds else f"{value:.0f}" for value in one.costs["rounds"])


def spell(value: Interval, digits: int = 2) -> str:
    """`0.85 (0.83 to 0.87)`."""
    text = f"{value.value:.{digits}f}"
    return text if np.isnan(value.low) else f"{text} ({value.low:.{digits}f} to {value.high:.{digits}f})"

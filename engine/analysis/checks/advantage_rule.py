"""The rule that a round's advantages follow, read off the record: gamma, lambda, the reward's factor, and who does not follow.

Within an episode A_t + V_t = gamma lambda A_{t+1} + c r_t + gamma V_{t+1} (Schulman et al. 2016, eq. 16), which is linear in
gamma lambda, c and gamma. A fit that most steps follow to rounding names all three, and the steps that do not follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.core.advantage_steps import Steps

ROUNDING = 2e-5
"""Share of a step's numbers that the two sides differ by where it follows: they are kept in single precision."""
DRAWS = 400
"""Of three steps each, that a rule is tried on where not all follow one."""
MANY = 0.25
"""Share of the steps that must follow a rule for it to be theirs; by chance hardly any does."""
DIGITS = 4
ABOUT, NEAR = 101, 0.5
"""Steps whose factors a changing one is held against, and by what share it may be off."""


@dataclass(frozen=True)
class Rule:
    """What advantages were made with."""

    gamma: float
    """NaN where the steps don't tell, as where all values are 0."""
    gae_lambda: float
    reward_factor: float
    """What rewards were multiplied by; NaN where all are 0. Where it changes from step to step, the median."""

    @property
    def coefficients(self) -> tuple[float, float, float]:
        """Of A_{t+1}, r_t and V_{t+1}."""
        return self.gamma * self.gae_lambda, self.reward_factor, self.gamma


@dataclass(frozen=True)
class Followed:
    """A rule and the steps that follow it."""

    rule: Rule | None
    """None: most steps follow none."""
    steps: int
    wrong: NDArray[np.int64]
    """Records that do not follow it, in order."""


def strays(steps: Steps, rule: Rule) -> NDArray[np.bool_]:
    """(m,) whether a step does not follow a rule.

    >>> steps = Steps.of(np.ones(2), np.zeros(2), np.array([1.5, 1.0]), np.array([1, -1]), np.array([False, True]))
    >>> strays(steps, Rule(gamma=0.5, gae_lambda=1.0, reward_factor=1.0)).tolist()
    [False, False]
    """
    return _strays(steps, np.array([0.0 if math.isnan(each) else each for each in rule.coefficients]))


def follow(steps: Steps, declared: Rule, rng: np.random.Generator) -> Followed:
    """The declared rule, where all steps follow it; else the one that most of them do.

    Args:
        steps: of one round.
        declared: what the settings say.
        rng: draws the steps that a rule is tried on.
    """
    off = strays(steps, declared)
    if not off.any():
        return Followed(declared, len(off), np.zeros(0, np.int64))
    candidates = [_fitted(steps, slice(None)), *_drawn(steps, rng)]
    best = min(candidates, key=lambda each: int(_strays(steps, each).sum()))
    best = _fitted(steps, ~_strays(steps, best))
    found = _strays(steps, best)
    if off.sum() <= found.sum():
        return Followed(declared, len(off), np.unique(steps.record[off]))
    if 1 - found.mean() < MANY:
        return Followed(None, len(off), np.unique(steps.record[off]))
    return Followed(_named(best, steps), len(off), np.unique(steps.record[found]))


def follow_changing(steps: Steps, declared: Rule, clip: float) -> Followed:
    """The same where rewards are divided by their running deviation: gamma and lambda are taken as declared.

    The factor of each reward is told from its step. It is above 0, and near those of the steps about it.

    Args:
        steps: of one round, in the order in which they were taken.
        declared: what the settings say.
        clip: largest size of a reward once it is multiplied.
    """
    from scipy.ndimage import median_filter

    both, _, gamma = declared.coefficients
    size = np.abs(steps.advantage) + np.abs(steps.value)
    multiplied = steps.advantage + steps.value - both * steps.next_advantage - gamma * steps.next_value
    told = (steps.reward != 0) & (np.abs(multiplied) > 100 * ROUNDING * size) & (np.abs(multiplied) < 0.999 * clip)
    factor, record = multiplied[told] / steps.reward[told], steps.record[told]
    if not len(factor):
        return Followed(Rule(declared.gamma, declared.gae_lambda, math.nan), 0, np.zeros(0, np.int64))
    usual = median_filter(factor, min(ABOUT, len(factor)), mode="nearest")
    strange = ~(np.abs(factor - usual) <= NEAR * np.abs(usual))
    wrong = np.unique(record[strange])
    if 1 - strange.mean() < MANY:
        return Followed(None, len(factor), wrong)
    return Followed(Rule(declared.gamma, declared.gae_lambda, float(np.median(factor))), len(factor), wrong)


def _matrix(steps: Steps) -> NDArray[np.float64]:
    """(m, 3) what the three coefficients belong to."""
    return np.stack([steps.next_advantage, steps.reward, steps.next_value], axis=1)


def _strays(steps: Steps, coefficients: NDArray[np.float64]) -> NDArray[np.bool_]:
    terms = _matrix(steps) * coefficients
    size = np.abs(terms).sum(axis=1) + np.abs(steps.advantage) + np.abs(steps.value)
    apart = np.abs(steps.advantage + steps.value - terms.sum(axis=1))
    return ~(apart <= ROUNDING * size)  # what is no number follows nothing


def _fitted(steps: Steps, rows: slice | NDArray[np.generic]) -> NDArray[np.float64]:
    """(3,) the least squares coefficients of some steps that are numbers; 0 for what they don't tell."""
    matrix, side = _matrix(steps)[rows], (steps.advantage + steps.value)[rows]
    finite = np.isfinite(matrix).all(axis=1) & np.isfinite(side)
    found, *_ = np.linalg.lstsq(matrix[finite], side[finite], rcond=1e-9)
    return np.asarray(found)


def _drawn(steps: Steps, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Coefficients of three steps each (Fischler and Bolles 1981): one draw without a wrong one is enough."""
    rewarded, inner = np.flatnonzero(steps.reward), np.flatnonzero(steps.next_advantage)
    if not len(rewarded) or len(inner) < 2:
        return []
    rows = [np.append(rng.choice(inner, 2, replace=False), rng.choice(rewarded)) for _ in range(DRAWS)]
    return [_fitted(steps, each) for each in rows]


def _named(coefficients: NDArray[np.float64], steps: Steps) -> Rule:
    """In the words of the field."""
    both, factor, gamma = (float(each) for each in coefficients)
    known = bool(steps.next_value.any())
    return Rule(
        gamma=round(gamma, DIGITS) if known else math.nan,
        gae_lambda=round(both / gamma, DIGITS) if known and gamma else math.nan,
        reward_factor=round(factor, DIGITS) if steps.reward.any() else math.nan,
    )

"""Do rewards go with what the critic has learned to expect, as they did in the rounds before?

V(s_t) - gamma V(s_{t+1}) is the reward that the critic expects at a step. Its correlation with the rewards keeps its sign from
round to round, unless the rewards' own sign is turned: the critic knows nothing of that yet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.analysis.checks.checked import Check, Read
from engine.core.advantage_steps import Steps
from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.store.read import Run
from engine.store.snapshot import Snapshot

EARLIER = 5
"""Rounds before that are looked at; three of them must be stored."""
CLEAR = 0.3
"""Correlation that every round before has at least, all with one sign."""
SEEN = 5
"""Records with a reward that is not 0, below which their sign says nothing."""
TURNED = 0.5
"""Share of the mean correlation before that the round has at least, with the other sign."""


def expected(steps: Steps, gamma: float) -> float:
    """Correlation of rewards with what the critic expects; NaN where one of the two is constant.

    >>> steps = Steps.of(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.zeros(2), np.array([1, -1]), np.array([False, True]))
    >>> round(expected(steps, gamma=1.0), 6)
    1.0
    """
    reward, wanted = steps.reward, steps.value - gamma * steps.next_value
    if len(reward) < 2 or np.ptp(reward) == 0 or np.ptp(wanted) == 0:
        return float("nan")
    return float(np.corrcoef(reward, wanted)[0, 1])


def is_turned(now: float, before: Sequence[float]) -> bool:
    """Whether a round's correlation has the other sign than those before, and clearly so.

    >>> is_turned(-0.8, [0.9, 0.7, 0.8]), is_turned(0.1, [0.9, 0.7, 0.8]), is_turned(-0.8, [0.9, 0.1, 0.8])
    (True, False, False)
    """
    side = np.sign(np.mean(before)) if before else 0.0
    clear = len(before) >= 3 and bool(np.all(side * np.asarray(before) >= CLEAR))
    return clear and bool(-side * now >= TURNED * abs(np.mean(before)))


def is_mirrored(now: NDArray[np.floating], before: NDArray[np.floating]) -> bool:
    """Whether all rewards but 0 are those before with the other sign, and none of them was there before.

    >>> is_mirrored(np.array([0.0, -1.0] * 5), np.array([0.0, 1.0])), is_mirrored(np.array([0.0, 1.0] * 5), np.array([0.0, 1.0]))
    (True, False)
    """
    found, known = now[now != 0], np.unique(before)
    return len(found) >= SEEN and bool(np.isin(-found, known).all() and not np.isin(found, known).any())


def reward_sign(run: Run, snapshot: Snapshot, replayed: Check, read: Read) -> Check:
    """Whether the rewards have the sign that the critic expects.

    Args:
        run: of any kind.
        snapshot: its round.
        replayed: whether the round before leads to it; where it does not, its critic has learned nothing of the rewards before.
        read: reads a round.
    """
    name, kind, k = "reward sign", kind_of(snapshot), snapshot.round
    try:
        now = expected(kind.advantage_steps(snapshot), snapshot.config.gamma)
    except BadInputError as error:
        return Check(name, None, str(error))
    earlier = [read(j) for j in run.stored_rounds if k - EARLIER <= j < k]
    before = [expected(kind.advantage_steps(each), each.config.gamma) for each in earlier]
    if earlier and is_mirrored(snapshot.buffer.reward, np.concatenate([each.buffer.reward for each in earlier])):
        return Check(name, False, "all rewards are those of the rounds before with the other sign", "environment")
    if replayed.fault == "critic":
        return Check(name, None, "the critic is not the one that has learned from the rounds before")
    said = f"rewards and what the critic expects correlate by {now:.2f}"
    if is_turned(now, before):
        return Check(
            name,
            False,
            f"{said}, and by {np.mean(before):.2f} in the rounds before: their sign is turned",
            "environment",
        )
    if len(before) < 3 or not np.isfinite([now, *before]).all():
        return Check(name, None, "rewards are constant, or too few rounds before are stored")
    return Check(name, True, f"{said}; by {np.mean(before):.2f} in the rounds before")

"""A policy that is stuck: it hardly chooses any more, its updates change nothing, and it was better before."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from engine.analysis.incidents.returns import Round

CERTAIN = 0.01
"""Of the first round's entropy."""
STILL = 1e-5
"""KL below which an update changed nothing."""
ROUNDS = 3
LEAST_EPISODES = 4
"""Of a round that counts as the best so far."""
WORSE = 0.25
"""Of the range of the returns so far, by which the rounds are below the best one."""


@dataclass(frozen=True)
class Stretch:
    """Rounds in a row in which the policy is stuck."""

    first: int
    last: int
    seen: int
    """The round after which the rule first knew."""
    best: Round
    """The best round before."""
    mean: float
    """Return of the episodes of the three rounds by which it was known."""
    episodes: int
    entropy: float
    """In the round by which it was known, as a share of the first round's."""


class Stuck:
    """Rule B of a run that goes on, for discrete actions.

    A policy is stuck in three rounds in a row with less than a hundredth of the first round's entropy and a KL below 1e-5, whose
    episodes' return is at least a quarter of the range so far below that of the best round.

    >>> stuck = Stuck()
    >>> for k in range(6):
    ...     new = stuck.see(k, Round(k, 10, 9.0 if k else 50.0, 1.0), entropy=0.0001 if k else 0.7, kl=0.0 if k else 0.2)
    >>> [(stretch.first, stretch.last, stretch.seen, stretch.mean) for stretch in stuck.stretches]
    [(1, 5, 3, 9.0)]
    """

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self._entropy = math.nan
        self._best: Round | None = None
        self._worst = math.inf
        self._since, self._still = -1, 0
        """The first of the rounds in a row up to now in which nothing moved, and how many they are."""
        self._returns: deque[Round | None] = deque(maxlen=ROUNDS)

    def see(self, number: int, returns: Round | None, entropy: float, kl: float) -> bool:
        """See the next round; says whether a stretch began or grew.

        Args:
            number: of the round.
            returns: None where no episode ended in it.
            entropy: NaN where it is not known.
            kl: likewise.
        """
        self._returns.append(returns)
        if math.isnan(self._entropy):
            self._entropy = entropy
        if returns is not None and returns.episodes >= LEAST_EPISODES:
            self._worst = min(self._worst, returns.mean)
            if self._best is None or returns.mean > self._best.mean:
                self._best = returns
        if not (entropy < CERTAIN * self._entropy and kl < STILL):
            self._still = 0
            return False
        self._since, self._still = (self._since if self._still else number), self._still + 1
        if self.stretches and self.stretches[-1].first == self._since:
            self.stretches[-1] = replace(self.stretches[-1], last=number)
            return True
        found = self._found(number, entropy)
        if found is not None:
            self.stretches.append(found)
        return found is not None

    def _found(self, number: int, entropy: float) -> Stretch | None:
        ended = [each for each in self._returns if each is not None]
        if self._still < ROUNDS or self._best is None or not ended:
            return None
        episodes = sum(each.episodes for each in ended)
        mean = sum(each.episodes * each.mean for each in ended) / episodes
        below = self._best.mean - mean
        if not 0 < WORSE * (self._best.mean - min(self._worst, mean)) <= below:
            return None
        return Stretch(self._since, number, number, self._best, mean, round(episodes), entropy / self._entropy)

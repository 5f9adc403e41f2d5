"""What a recorded run takes on disk, and which of its rounds are kept so that it takes no more than there is room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any, Literal

from engine.core.kept_rounds import KeptRounds
from engine.errors import BadInputError
from engine.keep import Keep
from engine.store.kept_files import KeptFiles
from engine.store.manifest import RunManifest

AsFits = Keep | None | Literal["as fits"]
"""What a recorder is told to keep: that, everything, or what fits."""
SMALL = 4 * 10**9
"""Bytes up to which every round of a run is kept where nobody says otherwise."""
LARGE = 20 * 10**9
"""Bytes that a run takes at most where nobody says otherwise."""
ROOM = 0.75
"""Of `LARGE`: what a run is planned to take. The rest is for incidents, and for rounds that grow."""
NTH = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
MOST_NTH = 10**6
AROUND = ((20, 3), (10, 2), (5, 1), (2, 1))
"""(last, around) to choose from, where rounds are very large."""


class DiskSpace:
    """Decides at each commit which rounds it drops: by the `Keep` that it was told, or by one that it chooses.

    Where it chooses, every round is kept while the run is small. A planned run that will not be gets a `Keep` at round 1; one
    whose length nobody knows, once it has grown. As often as it comes near `LARGE`, half of the n-th rounds go.
    """

    def __init__(self, keep: AsFits, manifest: RunManifest, planned: int | None) -> None:
        """Before the first round.

        Args:
            keep: what it is told.
            manifest: of the run.
            planned: rounds of the training, where somebody knows.
        """
        self.planned = planned
        self._chooses = keep == "as fits"
        self._kept = KeptRounds(keep if isinstance(keep, Keep) else Keep(), manifest)
        self._drops = isinstance(keep, Keep)

    def dropped(self, round: int, metrics: Mapping[str, Any], kept: KeptFiles) -> list[int]:
        """The rounds that the commit of a round drops; arguments as `KeptRounds.dropped` has them."""
        if not self._chooses and not self._drops:
            return []
        if self._chooses:
            self._choose(kept)
        found = self._kept.dropped(round, metrics, kept)
        return found if self._drops else []

    def forecast(self, kept: KeptFiles) -> str:
        """A line for people, once round 1 is there: what the run will take, and what is kept.

        Before the first update an optimizer has no state, so that round 0 may be much smaller than all others.
        """
        newest, rounds = kept.of_round(kept.rounds[-1]), self.planned
        whole = sum(file.bytes for file in newest)
        checkpoint = sum(file.bytes for file in newest if file.kind == "checkpoint")
        if self._chooses and rounds is not None and rounds * whole > SMALL:
            self._kept.keep, self._drops = chosen(rounds, whole, checkpoint), True
        line = f"a round takes {size(whole)}"
        if rounds is not None:
            line += f", and {rounds:,} of them {size(rounds * whole)}"
        if self._drops:
            line += f"; kept are {self._kept.keep}"
            if rounds is not None:
                line += f": about {size(self._kept.keep.estimate(rounds, whole, checkpoint))}"
        else:
            line += "; every round is kept" + (f", up to {size(SMALL)}" if self._chooses and rounds is None else "")
        return f"{line} (keep= says otherwise)"

    def _choose(self, kept: KeptFiles) -> None:
        if not self._drops and kept.bytes > SMALL:
            self._drops = True
        elif self._drops and kept.bytes > ROOM * LARGE and self._kept.keep.every < MOST_NTH:
            self._kept.keep = replace(self._kept.keep, every=2 * self._kept.keep.every)


def chosen(rounds: int, whole: int, checkpoint: int) -> Keep:
    """What of a planned run fits; arguments as `Keep.estimate` has them.

    >>> print(chosen(9766, 19_400_000, 18_900_000))  # 10 million steps of an Atari game, 1,024 a round
    every 50th round, the last 20 rounds, and 3 before and after each incident
    """
    found = Keep()
    for (last, around), every in product(AROUND, NTH):
        found = Keep(every=every, last=last, around=around)
        if found.estimate(rounds, whole, checkpoint) < ROOM * LARGE:
            break
    return found


def checked(keep: Any) -> AsFits:
    """What a recorder is told to keep.

    Raises:
        BadInputError: it is something else.
    """
    if keep is None or isinstance(keep, Keep) or keep == "as fits":
        return keep
    raise BadInputError(f'keep is {keep!r}; it must be an engine.Keep, None for every round, or "as fits"')


def size(number: int) -> str:
    """Bytes for people.

    >>> size(300), size(27_400_000), size(11_730_000_000)
    ('300 B', '27 MB', '12 GB')
    """
    amount, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.{0 if amount >= 9.95 or units[0] == 'B' else 1}f} {units[0]}"

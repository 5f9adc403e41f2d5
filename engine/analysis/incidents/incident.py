"""A round worth a look, in words and numbers, and a run's list of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

from engine.analysis.incidents.drops import SCALES, SHARP
from engine.analysis.incidents.falls import Drop
from engine.store.words import counted

What = Literal["drop", "stuck", "not finite", "unlike before", "failed check"]
DROP: What = "drop"
STUCK: What = "stuck"
NOT_FINITE: What = "not finite"
UNLIKE: What = "unlike before"
FAILED: What = "failed check"


@dataclass(frozen=True)
class Incident:
    """Rounds that are worth a look, and why."""

    kind: What
    """`drop`: the return fell by more than its noise. `stuck`: the policy hardly chooses and its updates change nothing, though
    it was better before. `not finite`: a metric that was a number is none any more. `unlike before`: rewards or observations are
    of another kind than those of the rounds before. `failed check`: the record contradicts itself or its settings."""
    onset: int
    """The round at which it is largest, or begins."""
    first: int
    """It lies in rounds `first` to `last`."""
    last: int
    reason: str
    """One sentence, with the numbers."""
    update: int
    """The update that it is the doing of. The return of round k is played by theta(k): its fall is the doing of update k - 1."""
    seen: int
    """The round after which it could be known."""
    causes: tuple[str, ...] = ()
    """What stands out in the updates before it; a hint, no proof."""
    drop: Drop | None = None
    """The numbers of the largest fall; None for what is no drop."""
    onsets: tuple[int, ...] = ()
    """Of every fall, where the return fell several times."""
    metrics: tuple[str, ...] = ()
    """Those that are no numbers any more; what is unlike before; the check that failed."""
    records: tuple[int, ...] = ()
    """Records of the first round that hold what is no number or fail the check, where these are some and not all; at most ten."""
    cause_updates: tuple[int, ...] = ()
    """The update that each of `causes` is of, in their order."""

    def __repr__(self) -> str:
        return f"Incident({self.kind} at round {self.onset}: {self.reason})"

    @property
    def short(self) -> str:
        """A few words, for a table: `drop at round 30: 200 to 60`."""
        where = f"{self.kind} at round {self.onset}"
        if self.drop is not None:
            return f"{where}: {self.drop.before:.4g} to {self.drop.after:.4g}"
        return f"{where}: {', '.join(name.replace('_', ' ') for name in self.metrics)}" if self.metrics else where

    def to_json(self) -> dict[str, Any]:
        """Plain values; `round` is the onset."""
        drop = self.drop
        return {
            "round": self.onset,
            "kind": self.kind,
            "reason": self.reason,
            "first": self.first,
            "last": self.last,
            "update": self.update,
            "seen": self.seen,
            "causes": list(self.causes),
            "cause_updates": list(self.cause_updates),
            "onsets": list(self.onsets),
            "drop": None if drop is None else drop.to_json(),
            "metrics": list(self.metrics),
            "records": list(self.records),
        }


@dataclass(frozen=True)
class Incidents(Sequence[Incident]):
    """The incidents of a run, in the order of their first rounds."""

    found: tuple[Incident, ...]
    rounds: int
    """How many rounds were looked at."""
    largest: Drop | None = None
    """The largest fall from one round to the next that is in no incident: it was within noise, or can't be told from it. None
    where the return never fell."""
    too_few: str = ""
    """A sentence where there are too few episodes to tell; empty where there are enough."""
    missing: tuple[str, ...] = ()
    """What nothing is said of, because no round has the metric; a sentence each."""

    @overload
    def __getitem__(self, index: int) -> Incident: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Incident, ...]: ...
    def __getitem__(self, index: int | slice) -> Incident | tuple[Incident, ...]:
        return self.found[index]

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        if not self.found:
            return f"Incidents(none in {counted(self.rounds, 'round')})"
        listed = ", ".join(f"{each.kind} at {each.onset}" for each in self.found[:4])
        more = "" if len(self) <= 4 else f" and {len(self) - 4} more"
        return f"Incidents({listed}{more}, in {counted(self.rounds, 'round')})"

    @property
    def sentence(self) -> str:
        """How many there are, or that there are none and what came closest."""
        if self.found:
            return f"{counted(len(self), 'incident')} in {counted(self.rounds, 'round')}"
        none = f"no incident in {counted(self.rounds, 'round')}"
        if self.too_few:
            return f"{none}; {self.too_few}"
        if self.largest is None:
            return none
        return f"{none}; the largest drop, {within_noise(self.largest)}"

    @property
    def largest_in_words(self) -> str:
        """The largest fall that is in no incident, and why it is none; empty where the return never fell."""
        drop = self.largest
        if drop is None:
            return ""
        other = "other " if self.found else ""
        episodes = f"{counted(drop.episodes_before, 'episode')} against {drop.episodes_after:,}"
        fell = (
            f"the largest {other}fall from one round to the next is {drop.before:.4g} to {drop.after:.4g} at round {drop.round} "
            f"({episodes})"
        )
        if drop.z is None:
            return f"{fell}: there are too few episodes around it to tell it from noise"
        least, size = SCALES[-1], f"{drop.z:.1f} standard errors"
        if drop.z < least.z:
            return f"{fell}: it is {size}, which is within noise; an incident has at least {least.z:g}"
        return (
            f"{fell}: it is {size}, but too small; an incident is a quarter of the range of the returns so far, and half a "
            f"standard deviation of single episodes ({SHARP.z:g} standard errors and {SHARP.share:.0%} of the range where only "
            "the few rounds beside it tell)"
        )

    def to_json(self) -> dict[str, Any]:
        """What `incidents --json` prints, beside the run."""
        return {
            "rounds": [each.to_json() for each in self.found],
            "looked_at": self.rounds,
            "too_few": self.too_few or None,
            "largest_within_noise": None if self.largest is None else self.largest.to_json(),
            "missing": list(self.missing),
        }


def in_order(incident: Incident) -> tuple[int, int, str]:
    """What incidents are sorted by."""
    return incident.first, incident.onset, incident.kind


def within_noise(drop: Drop) -> str:
    """`224 to 98 at round 50, is within noise (5 episodes)`."""
    episodes = counted(drop.episodes_after, "episode")
    return f"{drop.before:.4g} to {drop.after:.4g} at round {drop.round}, is within noise ({episodes})"

"""Which rounds of a run that goes on nothing can still want, decided at each commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.incident_watch import Incident, incident_watch
from engine.keep import Keep
from engine.store.chain import plain
from engine.store.kept_files import KeptFiles
from engine.store.manifest import RunManifest
from engine.store.read import RoundInfo

LONG = 50
"""Rounds up to which an incident is kept whole; of a longer one, each onset and both ends, each with the rounds around it. A
policy that is stuck stays so for thousands of rounds."""


class KeptRounds:
    """Sees the metrics of each round as it is committed. What was near an incident once stays, wherever that moves later.

    The rounds before may be seen again after a break: it then says what it would have said without one.
    """

    def __init__(self, keep: Keep, manifest: RunManifest, before: Iterable[RoundInfo] = ()) -> None:
        """Begin, or go on.

        Args:
            keep: what is wanted; it may be changed, and holds for all rounds that are still there.
            manifest: of the run.
            before: the rounds that it has already, in order.
        """
        self.keep = keep
        self._watch = incident_watch(manifest.action_space.kind != "box")
        self._near: set[int] = set()
        """Rounds near an incident, some of which are yet to come."""
        self._ends: dict[tuple[str, int], int] = {}
        """Of long incidents: kind and first round -> the last one so far."""
        for info in before:
            self.see(info.round, info.metrics)

    def see(self, round: int, metrics: Mapping[str, Any]) -> None:
        """See a round, and drop nothing."""
        for incident in self._watch.see(round, plain(metrics)):
            self._add(incident)

    def dropped(self, round: int, metrics: Mapping[str, Any], kept: KeptFiles) -> list[int]:
        """See a round that is about to be committed; the rounds that its commit can drop.

        Args:
            round: its number.
            metrics: what its commit will say.
            kept: the files of the rounds before it.
        """
        self.see(round, metrics)
        return [k for k in kept.rounds if not self._is_wanted(k, round)]

    def _is_wanted(self, k: int, now: int) -> bool:
        keep = self.keep
        return (
            k > now - keep.last
            or (keep.every > 0 and k % keep.every == 0)
            or k in self._near
            or any(abs(k - last) <= keep.around for last in self._ends.values())
        )

    def _add(self, incident: Incident) -> None:
        around, first, last = self.keep.around, incident.first, incident.last
        for k in (first, incident.onset, *incident.onsets):
            self._near.update(range(k - around, k + around + 1))
        if last - first <= LONG:
            self._near.update(range(first - around, last + around + 1))
        else:
            self._ends[incident.kind, first] = last

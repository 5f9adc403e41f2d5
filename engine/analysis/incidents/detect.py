"""What the rules find in a recorded run: in its metrics, and in its records beside those of earlier rounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.analysis.incidents.incident import NOT_FINITE, Incident, Incidents, in_order
from engine.analysis.incidents.unlike import MOST_COMPONENTS, VERSION, Look, Unlike
from engine.analysis.incidents.watch import Watch
from engine.analysis.not_finite_records import not_finite_records
from engine.analysis.round_by_round import RoundByRound
from engine.errors import EngineError
from engine.store.read import Run
from engine.store.snapshot import Snapshot

NAMED = 10
"""Records that an incident names at most."""


def of_metrics(run: Run) -> Incidents:
    """What the metrics of a run's commits say alone: no record is read."""
    watch = Watch(discrete=run.manifest.action_space.kind != "box")
    watch.see_all((info.round, info.metrics) for info in run.rounds)
    return watch.incidents


def looks_at_records(
    run: Run, *, cache: bool = True, read: Callable[[int], Snapshot] | None = None
) -> RoundByRound[Look]:
    """What is needed of the records of every stored round to compare it with others; iterate to read those that are missing.

    Args:
        run: the run.
        cache: read and write `derived/`.
        read: reads a round, where somebody does it who has some already; by default the run.
    """
    space = run.manifest.observation_space
    names = space.component_names if math.prod(space.shape) <= MOST_COMPONENTS else ()
    return RoundByRound(
        run,
        {"what": "a look at the records", "version": VERSION},
        run.stored_rounds,
        lambda k: Look.at((read or run.snapshot)(k).buffer, names),
        Look.to_json,
        Look.from_json,
        cache=cache,
    )


def with_unlike(found: Incidents, looks: RoundByRound[Look]) -> Incidents:
    """The incidents, and the rounds whose records are unlike those before; what could not be read is in `missing`."""
    unlike = Unlike()
    others = [incident for k, look in looks.in_order for incident in unlike.see(k, look)]
    damaged = (f"records of round {k} were not looked at: {why}" for k, why in sorted(looks.failed.items()))
    return replace(found, found=tuple(sorted([*found, *others], key=in_order)), missing=(*found.missing, *damaged))


def name_records(run: Run, found: Incidents) -> Incidents:
    """The incidents, with the records that hold what is no number; what can't be read is in `missing`."""
    named, unread = [], []
    for incident in found:
        named.append(incident)
        if incident.kind == NOT_FINITE and run.has_records(incident.onset):
            try:
                named[-1] = _with_records(incident, run.snapshot(incident.onset).buffer)
            except EngineError as error:
                unread.append(f"records that hold what is no number are not named: {error}")
    return replace(found, found=tuple(named), missing=(*found.missing, *unread))


def _with_records(incident: Incident, buffer: Any) -> Incident:
    """Which records of its round hold numbers that are not finite, and where."""
    found = not_finite_records(buffer)
    reason = f"{incident.reason}; {found.sentence}"
    return replace(incident, reason=reason, records=found.records[:NAMED])

"""The incidents of a recorded run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.analysis.incidents.incident import NOT_FINITE, Incident, Incidents, in_order
from engine.analysis.incidents.unlike import MOST_COMPONENTS, VERSION, Look, Unlike
from engine.analysis.incidents.watch import Watch
from engine.analysis.not_finite_records import not_finite_records
from engine.analysis.round_by_round import RoundByRound
from engine.errors import EngineError
from engine.executors import Progress
from engine.store.read import Run, open_run
from engine.store.snapshot import Snapshot

NAMED = 10
"""Records that an incident names at most."""


def incidents(
    source: Run | str | Path,
    *,
    records: bool = False,
    cache: bool = True,
    report: Progress = lambda doing, done, total: None,
) -> Incidents:
    """The rounds of a run that are worth a look, each with its reason: of any kind of run, also while it is written.

    >>> import engine
    >>> found = engine.incidents("sample_runs/FrozenLake-v1")
    >>> len(found), found.too_few
    (0, '')
    >>> print(found.sentence)
    no incident in 30 rounds; the largest drop, 0.9785 to 0.9577 at round 19, is within noise (331 episodes)
    >>> for incident in found:
    ...     print(incident.onset, incident.kind, incident.reason, incident.update)

    It looks at the metrics of the commits, and at the records of a stored round whose metrics are no numbers any more. The
    rule was measured on 25 runs of CartPole, FrozenLake, Acrobot and LunarLander: no false alarm in 2,920 rounds, 6 of 25 real
    falls missed, 5 of them where rounds are so short that most of them end no episode.

    With `records` it also reads the rounds that are stored, and compares rewards and observations with those before (see
    `incidents.unlike`): some milliseconds a round the first time, and kept in the run's `derived/`.

    Args:
        source: a run, or its folder.
        records: look at the records of all stored rounds.
        cache: read and write `derived/`.
        report: told how far reading the records is, of how much; raise from it to cancel.

    Raises:
        NotARunError: there is no run.
        DamagedRunError: `run.json` or a commit is not what was written. A round whose records are damaged is named in `missing`.
    """
    run = source if isinstance(source, Run) else open_run(source)
    found = name_records(run, of_metrics(run))
    if not records:
        return found
    looks = looks_at_records(run, cache=cache)
    for _ in looks:
        report("reading the records", *looks.progress)
    return with_unlike(found, looks)


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

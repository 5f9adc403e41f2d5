"""The incidents of a recorded run, of every kind."""

from __future__ import annotations

from pathlib import Path

from engine.analysis.incidents.detect import name_records, of_metrics
from engine.analysis.incidents.incident import Incidents
from engine.executors import Progress
from engine.store.read import Run, open_run

REPORTED_SECONDS = 0.2
"""After which one hears how far reading the records is."""


def incidents(
    source: Run | str | Path,
    *,
    records: bool = False,
    replays: bool = False,
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

    With `records` it also reads the rounds that are stored, compares rewards and observations with those before (see
    `incidents.unlike`), and makes the checks of an autopsy that replay no update and step no environment (see
    `checks.failed_rounds`): some tens of milliseconds a round the first time, and kept in the run's `derived/`. With `replays` it
    makes every check of an autopsy: a second or so a round, and what shows in nothing but the replay of an update is found
    too, as a critic that was set anew.

    Args:
        source: a run, or its folder.
        records: look at the records of all stored rounds.
        replays: also replay the update of each, and step its environment again; `records` is then meant as well.
        cache: read and write `derived/`.
        report: told how far reading the records is, of how much; raise from it to cancel.

    Raises:
        BadInputError: `replays`, and what this kind of run needs is not installed.
        NotARunError: there is no run.
        DamagedRunError: `run.json` or a commit is not what was written. A round whose records are damaged is named in `missing`.
    """
    run = source if isinstance(source, Run) else open_run(source)
    found = name_records(run, of_metrics(run))
    if not (records or replays):
        return found
    # it needs torch, which metrics alone do not
    from engine.analysis.incidents_in_records import InRecords

    read = InRecords(run, replays=replays, cache=cache)
    try:
        while read.missing:
            read.advance(REPORTED_SECONDS)
            report("reading the records", *read.progress)
    finally:
        read.keep()
    return read.added_to(found)

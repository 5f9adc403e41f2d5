"""Which rounds of a run fail a check that needs no more than their own records and checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from engine.analysis.checks.checked import Check
from engine.analysis.checks.round_checks import advantages, critic, numbers, policy, settings
from engine.analysis.incidents.incident import FAILED, NOT_FINITE, Incident, Incidents, in_order
from engine.analysis.round_by_round import RoundByRound
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.store.words import counted
from engine.typed import typed

VERSION = 1
"""Part of the key under which answers are kept; raise it whenever a check answers otherwise."""
NAMED = 10
"""Records that are kept of a check at most."""
Failed = tuple[Check, ...]


def failed_checks(
    run: Run, *, cache: bool = True, read: Callable[[int], Snapshot] | None = None
) -> RoundByRound[Failed]:
    """The checks that each stored round fails; iterate to check those that are missing, some tens of milliseconds each.

    These are the ones of an autopsy that replay no update and step no environment: numbers, policy, critic, advantages,
    settings.

    >>> import engine
    >>> checks = failed_checks(engine.open_run("sample_runs/FrozenLake-v1"), cache=False)
    >>> checks.advance(only=[5])
    >>> checks.found
    {5: ()}

    Args:
        run: of any kind.
        cache: read and write the run's `derived/`.
        read: reads a round, where somebody does it who has some already; by default the run.
    """
    read = read or run.snapshot
    return RoundByRound(
        run,
        {"what": "checks that a round fails", "version": VERSION},
        run.stored_rounds,
        lambda k: _failed(run, k, read),
        lambda failed: [check.to_json() for check in failed],
        lambda values: typed(Failed, values),
        cache=cache,
    )


def with_failed(found: Incidents, checks: RoundByRound[Failed]) -> Incidents:
    """The incidents, and the rounds that fail a check; which rounds could not be checked is in `missing`.

    A check that fails in one stored round after another is one incident. Numbers that the metrics already tell of are not
    told twice.
    """
    told = {k for each in found if each.kind == NOT_FINITE for k in range(each.first, each.last + 1)}
    failed = list(_stretches(checks.in_order, told))
    whys = dict.fromkeys(checks.failed.values())
    unread = [
        f"{counted(len(rounds), 'round')} could not be checked, the first of them {rounds[0]}: {why}"
        for why in whys
        if (rounds := sorted(k for k, other in checks.failed.items() if other == why))
    ]
    return replace(found, found=tuple(sorted([*found, *failed], key=in_order)), missing=(*found.missing, *unread))


def _failed(run: Run, k: int, read: Callable[[int], Snapshot]) -> Failed:
    snapshot = read(k)
    first = numbers(snapshot, {})  # what an update led to is the next round's checkpoint
    if first.ok is False:  # nothing else can be said of them
        asked: Sequence[Check] = (first,)
    else:
        asked = (policy(snapshot), critic(snapshot), advantages(snapshot), settings(run, snapshot, read))
    return tuple(replace(check, records=check.records[:NAMED]) for check in asked if check.ok is False)


def _stretches(rounds: Iterable[tuple[int, Failed]], told: set[int]) -> Iterator[Incident]:
    """The incidents, from the checks that rounds in order fail."""
    going_on: dict[str, Incident] = {}
    for k, failed in rounds:
        now = {check.name: check for check in failed if check.fault != "numbers" or k not in told}
        yield from (_whole(going_on.pop(name)) for name in [*going_on] if name not in now)
        for name, check in now.items():
            going_on[name] = replace(going_on[name], last=k) if name in going_on else _incident(k, check)
    yield from map(_whole, going_on.values())


def _incident(k: int, check: Check) -> Incident:
    """Of the first round. What is not finite in the checkpoint before the update comes from the update before."""
    before = check.fault == "numbers" and not check.records
    update = max(k - 1, 0) if before else k
    return Incident(FAILED, k, k, k, check.what, update, seen=k, metrics=(check.name,), records=check.records)


def _whole(incident: Incident) -> Incident:
    """With a word on the rounds that follow."""
    if incident.last == incident.first:
        return incident
    return replace(incident, reason=f"{incident.reason}; this check fails up to round {incident.last}")

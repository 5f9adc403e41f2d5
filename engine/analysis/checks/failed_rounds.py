"""Which rounds of a run fail a check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from engine.analysis.checks.checked import Check
from engine.analysis.checks.round_checks import (
    BEFORE_UPDATE,
    advantages,
    check_round,
    critic,
    numbers,
    policy,
    settings,
)
from engine.analysis.incidents.incident import FAILED, NOT_FINITE, Incident, Incidents, in_order
from engine.analysis.round_by_round import RoundByRound
from engine.known_kinds import kind_named
from engine.store.read import Run
from engine.store.snapshot import Snapshot
from engine.store.words import counted
from engine.typed import typed

VERSION = 2
"""Part of the key under which answers are kept; raise it whenever a check answers otherwise."""
NAMED = 10
"""Records that are kept of a check at most."""
TOLD_ELSEWHERE = ("replay before", "records before")
"""Checks that no incident is made of: the first is the replay of the round before, the second is `incidents.unlike`."""
Failed = tuple[Check, ...]


def failed_checks(
    run: Run, *, replays: bool = False, cache: bool = True, read: Callable[[int], Snapshot] | None = None
) -> RoundByRound[Failed]:
    """The checks that each stored round fails; iterate to check those that are missing.

    By default these are the ones of an autopsy that replay no update and step no environment (numbers, policy, critic,
    advantages, settings), some tens of milliseconds a round. With `replays` all of them are made, as `check_round` does: a
    critic that was set anew or a silent learning rate shows only where the replay of an update lands elsewhere.

    >>> import engine
    >>> checks = failed_checks(engine.open_run("sample_runs/FrozenLake-v1"), cache=False)
    >>> checks.advance(only=[5])
    >>> checks.found
    {5: ()}

    Args:
        run: of any kind.
        replays: also replay every update, and step the environment again.
        cache: read and write the run's `derived/`.
        read: reads a round, where somebody does it who has some already; by default the run. Replays read for themselves.

    Raises:
        BadInputError: `replays`, and what this kind of run needs is not installed.
    """
    read = read or run.snapshot
    question: dict[str, Any] = {"what": "checks that a round fails", "version": VERSION}
    if replays:
        question["replayed"] = kind_named(run.kind).fingerprint()  # another machine's replays land elsewhere
    return RoundByRound(
        run,
        question,
        run.stored_rounds,
        lambda k: _named(check_round(run, k) if replays else _of_records(run, k, read)),
        lambda failed: [check.to_json() for check in failed],
        lambda values: typed(Failed, values),
        ahead=1 if replays else 0,  # what an update led to is in the next round's checkpoint
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
    not_replayed = [
        check.what
        for _, failed in checks.in_order
        for check in failed
        if check.ok is None and all(other.fault != "numbers" for other in failed)  # which says why, and where
    ]
    unread = [f"{counted(len(not_replayed), 'round')} could not be replayed: {not_replayed[0]}"] if not_replayed else []
    unread += [
        f"{counted(len(rounds), 'round')} could not be checked, the first of them {rounds[0]}: {why}"
        for why in whys
        if (rounds := sorted(k for k, other in checks.failed.items() if other == why))
    ]
    return replace(found, found=tuple(sorted([*found, *failed], key=in_order)), missing=(*found.missing, *unread))


def _of_records(run: Run, k: int, read: Callable[[int], Snapshot]) -> Sequence[Check]:
    snapshot = read(k)
    first = numbers(snapshot, {})  # what an update led to is the next round's checkpoint
    if first.ok is False:  # nothing else can be said of them
        return (first,)
    return (policy(snapshot), critic(snapshot), advantages(snapshot), settings(run, snapshot, read))


def _named(checks: Sequence[Check]) -> Failed:
    """Those that fail and are told here, with few enough records to keep; and a replay that could not be made."""
    failed = (
        check
        for check in checks
        if check.name not in TOLD_ELSEWHERE and (check.ok is False or (check.ok is None and check.name == "replay"))
    )
    return tuple(replace(check, records=check.records[:NAMED]) for check in failed)


def _stretches(rounds: Iterable[tuple[int, Failed]], told: set[int]) -> Iterator[Incident]:
    """The incidents, from the checks that rounds in order fail."""
    going_on: dict[str, Incident] = {}
    for k, failed in rounds:
        now = {
            check.name: check for check in failed if check.ok is False and (check.fault != "numbers" or k not in told)
        }
        yield from (_whole(going_on.pop(name)) for name in [*going_on] if name not in now)
        for name, check in now.items():
            going_on[name] = replace(going_on[name], last=k) if name in going_on else _incident(k, check)
    yield from map(_whole, going_on.values())


def _incident(k: int, check: Check) -> Incident:
    """Of the first round. What is not finite in the checkpoint before the update comes from the update before."""
    update = max(k - 1, 0) if check.what.endswith(BEFORE_UPDATE) else k
    return Incident(FAILED, k, k, k, check.what, update, seen=k, metrics=(check.name,), records=check.records)


def _whole(incident: Incident) -> Incident:
    """With a word on the rounds that follow."""
    if incident.last == incident.first:
        return incident
    return replace(incident, reason=f"{incident.reason}; this check fails up to round {incident.last}")

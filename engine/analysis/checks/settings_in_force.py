"""Are the settings in force in a round those of the round before, up to what a schedule changes?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.analysis.checks.checked import Check, Read
from engine.store.read import Run
from engine.store.snapshot import Snapshot

NAME = "settings"
CHANGED = 2.0
"""By how many times a number of the settings leaves what it was in the round before."""
GOES_ON = 1.5
"""By how many times a change may be larger than the one before it, and in its direction, to be a schedule's: one that is linear
reaches 0 or goes below it in steps of one size."""
OF_ADVANTAGES = ("gamma", "gae_lambda")
"""Settings that weigh what is to come by 1 / (1 - setting) steps: a change shows in what they lack of 1."""


def settings(run: Run, snapshot: Snapshot, read: Read) -> Check:
    """Whether the settings in force are those of the round before, up to what a schedule changes; `read` reads a round."""
    k = snapshot.round
    if not snapshot.in_force:
        return Check(NAME, True, "they are the same in all rounds")
    if not run.has_records(k - 1):
        return Check(NAME, None, "the round before is not stored")
    now, before = (dict(_numbers(each.in_force)) for each in (snapshot, read(k - 1)))
    changed = [key for key in now if key in before and _apart(key, before[key], now[key])]
    earlier = max((j for j in run.stored_rounds if j < k - 1), default=None) if changed else None
    if earlier is not None:
        known = dict(_numbers(read(earlier).in_force))
        usual = {key: (before[key] - known[key]) / (k - 1 - earlier) for key in changed if key in known}
        changed = [key for key in changed if not goes_on(usual.get(key, 0.0), now[key] - before[key])]
    if not changed:
        return Check(NAME, True, "they are those of the round before, or go on as a schedule does")
    said = (
        f"changed since the round before: {', '.join(f'{key} from {before[key]:g} to {now[key]:g}' for key in changed)}"
    )
    if earlier is None and _only_fall(changed, before, now):
        return Check(NAME, None, f"{said}; no earlier round is stored that would tell a schedule")
    return Check(NAME, False, said, "advantages" if set(changed) & set(OF_ADVANTAGES) else "step")


def goes_on(usual: float, change: float) -> bool:
    """Whether a change goes on as the one before it did, or slows down.

    >>> goes_on(-0.1, -0.1), goes_on(-0.1, -0.01), goes_on(-0.1, 0.1), goes_on(0.0, 0.1), goes_on(-0.1, -0.3)
    (True, True, False, False, False)
    """
    return usual != 0 and 0 <= change / usual <= GOES_ON


def _only_fall(changed: list[str], before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """As schedules of rates, clips and coefficients do."""
    return all(now[key] < before[key] and key not in OF_ADVANTAGES for key in changed)


def _numbers(values: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Those of nested settings, by the last part of their names."""
    if isinstance(values, dict):
        for key, each in values.items():
            yield from _numbers(each, str(key))
    elif isinstance(values, int | float) and not isinstance(values, bool) and name != "threads":
        yield name, float(values)


def _apart(key: str, before: float, now: float) -> bool:
    if key in OF_ADVANTAGES:
        before, now = 1 - before, 1 - now
    if before == 0 or now == 0:
        return before != now
    return not 1 / CHANGED <= now / before <= CHANGED

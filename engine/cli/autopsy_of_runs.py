"""`python -m engine autopsy` with `--rounds` and `--against`: of many rounds, and of two runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import arguments
from engine.cli.remarks import note, note_duration
from engine.errors import CancelledError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from engine.intervention.autopsy.over_rounds_result import RoundsAutopsy
    from engine.intervention.autopsy.two_runs_result import TwoRunsAutopsy


def of_runs(run: Path, rounds: str | None, against: Path | None, chosen: Mapping[str, Any], as_json: bool) -> None:
    """Print the autopsy of many rounds or of two runs.

    Args:
        run: the run's folder.
        rounds: `A:B`, or None.
        against: the other run's folder, where there are no rounds.
        chosen: what else `engine.autopsy_rounds` and `engine.autopsy_against` are told.
        as_json: print one JSON object.
    """
    try:
        if rounds is not None:
            _over_rounds(run, arguments.span(rounds, "--rounds"), chosen, as_json)
        elif against is not None:
            _two_runs(run, against, chosen, as_json)
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; what was played is kept in {run / 'derived'}, continue with the same command"
        ) from None


def _over_rounds(run: Path, rounds: tuple[int, int], chosen: Mapping[str, Any], as_json: bool) -> None:
    from engine.executors import Pool, default_workers
    from engine.intervention.autopsy.over_rounds import autopsy_rounds, seconds_at_most, start_of
    from engine.store.read import open_run

    opened = open_run(run, indexed=True)
    start_of(opened, *rounds)
    pool = Pool(chosen["executor"], chosen["workers"])
    at_a_time = 1 if pool.executor == "inline" else pool.workers or default_workers()
    seconds = seconds_at_most(opened, *rounds, seeds=chosen["seeds"], episodes=chosen["episodes"])
    note_duration("training on in all arms, if the policy did not get better,", (seconds or 0) / at_a_time)
    with progress(quiet=as_json) as say:
        found = autopsy_rounds(opened, *rounds, **chosen, progress=say)
    if as_json:
        print_json(found.to_json())
    else:
        _print_rounds(found)


def _two_runs(run: Path, other: Path, chosen: Mapping[str, Any], as_json: bool) -> None:
    from engine.intervention.autopsy.two_runs import autopsy_against
    from engine.store.read import open_run

    runs = open_run(run, indexed=True), open_run(other, indexed=True)
    with progress(quiet=as_json) as say:
        found = autopsy_against(*runs, **chosen, progress=say)
    if as_json:
        print_json(found.to_json())
    else:
        _print_two(found)


def _print_rounds(found: RoundsAutopsy) -> None:
    from engine.intervention.autopsy.wording import signed

    print(f"rounds {found.first} to {found.last}: {found.verdict}")
    print(found.sentence)
    recorded = [("as recorded", 1, *_along(found.recorded, found), "", "")]
    arms = [
        (
            arm.name,
            arm.replicates,
            *_along({k: each.value for k, each in arm.curve.items()}, found),
            signed(arm.difference),
            "" if arm.over_luck is None else signed(arm.over_luck),
        )
        for arm in found.arms
    ]
    heads = [f"round {k}" for k in _points(found)]
    print_table(("arm", "times", *heads, "against as recorded", "against other luck"), [*recorded, *arms])
    _print_end(found)


def _points(found: RoundsAutopsy) -> list[int]:
    return sorted({*found.recorded, *(k for arm in found.arms for k in arm.curve)})


def _along(means: Mapping[int, float], found: RoundsAutopsy) -> list[str]:
    """Returns at all points; empty where there is none. All begin with the same policy."""
    begun = {found.first: found.recorded[found.first], **means}
    return [f"{begun[k]:.4g}" if k in begun else "" for k in _points(found)]


def _print_two(found: TwoRunsAutopsy) -> None:
    from engine.intervention.autopsy.wording import signed

    where = "" if found.parted is None else f" at round {found.parted.round}"
    print(f"{found.run} and {found.other}: {found.verdict}{'' if found.verdict == 'never parted' else where}")
    print(found.sentence)
    if found.differs:
        listed = ", ".join(f"{name} ({one} and {other})" for name, (one, other) in found.differs.items())
        note(f"the two runs are not of one setting: they differ in {listed}")
    if found.looked_at:
        print_table(
            (
                "before it",
                found.run,
                found.other,
                "difference",
                "in standard deviations",
                "jump in the last",
                "beyond noise",
            ),
            [
                (
                    each.name.replace("_", " "),
                    *each.means,
                    signed(each.difference),
                    each.standardised,
                    signed(each.jump),
                    "yes" if each.beyond_noise else "",
                )
                for each in found.looked_at
            ],
        )
    _print_end(found)


def _print_end(found: RoundsAutopsy | TwoRunsAutopsy) -> None:
    for name, why in found.left_out.items():
        print(f"note: {name} is left out: {why}")
    if found.next:
        print(f"try next: {found.next}")

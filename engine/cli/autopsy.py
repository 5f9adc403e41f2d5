"""`python -m engine autopsy`: what happened in the update of a round, and what would have prevented it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.autopsy_of_runs import of_runs
from engine.cli.options import Executor, Json, RunFolder, Workers
from engine.errors import BadInputError, CancelledError, StorageError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from engine.intervention.autopsy.autopsy_result import Autopsy
    from engine.store.read import Run


def autopsy(
    run: RunFolder,
    round: Annotated[int | None, typer.Option(help="Round number, from 0: what happened in its update.")] = None,
    rounds: Annotated[
        str | None, typer.Option(metavar="A:B", help="Two rounds: why the run did not get better between them.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="Another run of the same setting: where the two parted.")
    ] = None,
    episodes: Annotated[
        int,
        typer.Option(
            "--episodes",
            help="Of the policies before and after the update, on common seeds; the arms of one round have half.",
        ),
    ] = 64,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="HTML file to write the report to; it needs nothing else.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="With --rounds or --against: trainings of each arm.")] = 5,
    executor: Executor = "processes",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Say whether a round is what it claims to be, whether its change was real, and what would have prevented a fall.

    With --rounds the same of a decay or a standstill over many rounds; with --against, where two runs parted.
    """
    if sum(value is not None for value in (round, rounds, against)) != 1:
        raise BadInputError("say what to examine: one of --round K, --rounds A:B and --against OTHER")
    if round is None:
        if report is not None:
            raise BadInputError("--report is for an autopsy of one round; name it with --round")
        chosen = {"episodes": episodes, "seeds": seeds, "executor": executor, "workers": workers}
        of_runs(run, rounds, against, chosen, as_json)
        return
    from engine.intervention.autopsy.examine import autopsy as examine
    from engine.intervention.autopsy.wording import (
        ABOUT_RECORDS,
        ARMS,
        ON_RECORDS,
        how_compared,
        rows_of_arms,
        rows_on_records,
    )
    from engine.store.read import open_run

    if report is not None and (not report.absolute().parent.is_dir() or report.is_dir()):
        raise BadInputError(f"--report {report} can't be written; name a file in a folder that is there")
    opened = open_run(run, indexed=True)
    try:
        with progress(quiet=as_json) as say:
            found = examine(opened, round, episodes=episodes, executor=executor, workers=workers, progress=say)
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; what was played is kept in {run / 'derived'}, continue with the same command"
        ) from None
    if report is not None:
        _write(report, opened, found)
    if as_json:
        print_json(found.to_json())
        return
    print(f"update of round {found.round}: {found.verdict}")
    print(found.sentence)
    print_checks(found)
    if found.arms:
        print_table(ARMS, rows_of_arms(found))
        print(how_compared(found))
    if found.on_records:
        print_table(ON_RECORDS, rows_on_records(found))
        print(ABOUT_RECORDS)
    _print_end(found)


def _print_end(found: Autopsy) -> None:
    """What to look at, what is missing, and what to try."""
    for each in found.watch:
        print(f"watch: {each.sentence}")
    for sequence in found.read:
        print(f"read: {sequence.sentence}")
    for name, why in found.left_out.items():
        print(f"note: {name} is left out: {why}")
    if found.next:
        print(f"try next: {found.next}")


def _write(path: Path, run: Run, found: Autopsy) -> None:
    from engine.intervention.autopsy.html_file import render
    from engine.store.files import Files

    try:
        Files().replace(path, render(run, found).encode())
    except (StorageError, OSError) as error:
        raise BadInputError(f"{path} can't be written ({error}); name a file in a folder that is there") from None


def print_checks(found: Autopsy) -> None:
    """A line for each question."""
    from engine.intervention.autopsy.wording import ANSWERS

    print_table(("asked", "answer", "why"), [(each.name, ANSWERS[each.ok], each.what) for each in found.checks])

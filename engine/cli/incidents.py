"""`python -m engine incidents`: the rounds that are worth a look, with the reason."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.options import Json, RunFolder
from engine.errors import CancelledError
from engine.terminal import print_json, print_table, progress


def incidents(
    run: RunFolder,
    records: Annotated[
        bool,
        typer.Option(
            "--records",
            help="Also read every stored round: rewards and observations unlike those before, failed checks.",
        ),
    ] = False,
    replays: Annotated[
        bool,
        typer.Option(
            "--replays",
            help="Make every check of an autopsy for every stored round: also replay each update, about a second a round.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the rounds that are worth a look: falls of the return, policies that are stuck, numbers that are none any more."""
    from engine.analysis.incidents_of_run import incidents as detect

    try:
        with progress(quiet=not (records or replays)) as report:
            found = detect(run, records=records, replays=replays, report=report)
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; the rounds so far are kept in {run / 'derived'}, continue with the same command"
        ) from None
    if as_json:
        print_json({"run": str(run), **found.to_json()})
        return
    print(found.sentence)
    if len(found):
        print_table(
            ("round", "kind", "why", "update", "what stood out before it"),
            [(each.onset, each.kind, each.reason, each.update, "; ".join(each.causes) or None) for each in found],
        )
        print("update: whose doing it is; the return of round k is played by what update k - 1 made")
    for note in filter(None, (found.too_few if len(found) else "", *found.missing)):
        print(f"note: {note}")

"""`python -m engine diagnose`: what the bottom records of a round have in common."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import arguments
from engine.cli.options import (
    Action,
    Executor,
    Json,
    Observation,
    OfRound,
    Records,
    Round,
    RunFolder,
    TargetOption,
    Tokens,
    Workers,
    chosen_target,
)
from engine.errors import CancelledError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from engine.analysis.diagnosis import Diagnosis


def diagnose(
    run: RunFolder,
    round: Round,
    target: TargetOption = None,
    of_round: OfRound = None,
    record: Records = None,
    tokens: Tokens = None,
    obs: Observation = None,
    action: Action = None,
    estimator: Annotated[str, typer.Option(help="Of the influence; see `influence`.")] = "first_order",
    fraction: Annotated[float, typer.Option(help="Share of the records that are the bottom.")] = 0.1,
    rollouts: Annotated[
        int, typer.Option(help="Rollouts per mean, at least 2; 0 leaves A-bar out. Only control tasks have some.")
    ] = 32,
    rollouts_of: Annotated[
        Path | None,
        typer.Option(
            help="Text file of the records whose A-bar to estimate; by default all of a discrete world, else 200."
        ),
    ] = None,
    executor: Executor = "processes",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Compare the bottom records of a round with the rest, and with what rollouts say."""
    from engine.analysis.diagnosis import diagnose as compare
    from engine.core.kind import kind_of
    from engine.core.targets.functions import in_words
    from engine.store.read import open_run

    snapshot = open_run(run, indexed=True).snapshot(round)
    chosen = chosen_target(snapshot, target, of_round=of_round, record=record, obs=obs, action=action, tokens=tokens)
    try:
        with progress() as report:
            found = compare(
                snapshot,
                chosen,
                estimator,
                fraction=fraction,
                records=None if rollouts_of is None else arguments.record_numbers(rollouts_of),
                rollouts=rollouts,
                executor=executor,
                workers=workers,
                report=report,
            )
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; finished rollouts are kept in {run / 'derived'}, continue with the same command"
        ) from None
    if as_json:
        print_json({"run": str(run), **found.to_json()})
    else:
        kind = kind_of(snapshot)
        _print(found, run, kind.words.records, in_words(chosen, kind.action_names(snapshot)))


def _print(found: Diagnosis, run: Path, records: str, target: str) -> None:
    """The list in plain words, the correlations, and what one must know of them."""
    certain, others = found.in_common, len(found.traits) - len(found.in_common)
    print(
        f"{len(found.bottom)} bottom {records} by {found.scores.estimator} influence on the {target}, "
        f"round {found.round} of {run}, against the other {found.ranked - len(found.bottom)}"
    )
    if not certain:
        print("nothing that is certain; the largest differences:")
    print_table(
        ("what they have in common", "effect size", "interval"),
        [(trait.sentence, trait.delta, _interval(trait.low, trait.high)) for trait in certain or found.traits[:5]],
    )
    print(
        f"effect size: Cliff's delta, -1 to 1. Intervals hold at 95 % for all {len(found.traits)} features at once; "
        f"{others} of them don't tell the bottom {records} from the rest.\n"
    )
    print_table(
        ("rank correlation of influence with", "rho", "95 % interval"),
        [
            (name, each.value, _interval(each.low, each.high))
            for name, each in sorted(found.correlations.items(), key=lambda item: -abs(item[1].value))
        ],
    )
    for note in found.notes:
        print(f"note: {note}")


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{low:.2f} to {high:.2f}"

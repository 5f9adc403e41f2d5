"""`python -m engine validate`: measure whether influence predicts what removing records does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

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
from engine.cli.remarks import note_duration, note_elsewhere
from engine.errors import CancelledError
from engine.terminal import duration, print_json, print_table, progress

if TYPE_CHECKING:
    from engine.core.faithfulness.result import Validation


def validate(
    run: RunFolder,
    round: Round,
    target: TargetOption = None,
    of_round: OfRound = None,
    record: Records = None,
    tokens: Tokens = None,
    obs: Observation = None,
    action: Action = None,
    subsets: Annotated[
        int | None, typer.Option(help="Subsets of the records to remove, at least 3; by default 64, of sequences 32.")
    ] = None,
    orders: Annotated[
        int | None, typer.Option(help="Minibatch orders to replay each in; by default 16, of sequences 4.")
    ] = None,
    fraction: Annotated[float, typer.Option(help="Share of the records in a subset, above 0 and below 1.")] = 0.5,
    design: Annotated[
        Literal["random", "extremes"], typer.Option(help="Random subsets, or the top and bottom records.")
    ] = "random",
    estimator: Annotated[
        list[str] | None, typer.Option(help="Whose influence to check; repeat for more. By default first_order.")
    ] = None,
    score_orders: Annotated[
        int, typer.Option(help="Minibatch orders that the influence is averaged over; 1 is the recorded one.")
    ] = 1,
    executor: Executor = "processes",
    workers: Workers = None,
    device: Annotated[
        str, typer.Option(help="cpu replays exactly; cuda replays hundreds at a time, to rounding.")
    ] = "cpu",
    as_json: Json = False,
) -> None:
    """Remove random records, really replay the round, and see who predicted it."""
    from engine.core.estimators.registry import DEFAULT_ESTIMATOR
    from engine.core.faithfulness.cost import finished, replaying_seconds, scoring_seconds
    from engine.core.faithfulness.measure import Measurement, validate_targets
    from engine.core.kind import kind_of
    from engine.core.replays.many import replay_seconds
    from engine.core.replays.replay import check_replayable
    from engine.core.targets.functions import in_words
    from engine.executors import Pool
    from engine.store.read import open_run

    snapshot = open_run(run, indexed=True).snapshot(round)
    estimators = list(dict.fromkeys(estimator or [DEFAULT_ESTIMATOR]))
    chosen = chosen_target(snapshot, target, of_round=of_round, record=record, obs=obs, action=action, tokens=tokens)
    how = Measurement.of(
        snapshot,
        subsets=subsets,
        orders=orders,
        fraction=fraction,
        design=design,
        score_orders=score_orders,
        device=device,
    )
    pool = Pool(executor, workers)
    pool.check()
    check_replayable(snapshot, device)
    done, total = finished(snapshot, chosen, estimators, how)
    note_elsewhere(snapshot)
    note_duration("scoring the records", scoring_seconds(snapshot, estimators, score_orders, chosen))
    if done < total and device == "cpu":
        left = total - done
        note_duration(f"replaying the update {left} times", replaying_seconds(replay_seconds(snapshot), left, pool))
    try:
        with progress() as report:
            (found,) = validate_targets(snapshot, [chosen], how, estimators, pool=pool, report=report)
    except KeyboardInterrupt:
        raise _stopped(run, *finished(snapshot, chosen, estimators, how)) from None
    if as_json:
        print_json({"run": str(run), **found.to_json()})
    else:
        _print(found, run, in_words(chosen, kind_of(snapshot).action_names(snapshot)))


def _stopped(run: Path, done: int, total: int) -> CancelledError:
    return CancelledError(
        f"stopped; {done} of {total} replays are finished and kept in {run / 'derived'}; continue with the same command"
    )


def _print(found: Validation, run: Path, target: str) -> None:
    """A table, then what it means."""
    where = "" if found.device == "cpu" else f" on {found.device}"
    ceiling = "not measured (one order)" if found.ceiling is None else f"{found.ceiling:.2f}"
    if found.ceiling_low is not None:
        ceiling += f" ({found.ceiling_low:.2f} to {found.ceiling_high:.2f})"
    print(
        f"{target}, round {found.round} of {run}: {found.subsets} subsets of {found.share} of "
        f"the records ({found.design}), {found.orders} minibatch orders, {duration(found.seconds)}{where}"
    )
    print_table(
        ("estimator", "LDS", "95 % interval", "additivity gap", "slope"),
        [(name, f.lds, f"{f.low:.2f} to {f.high:.2f}", 1 - f.r2, f.slope) for name, f in found.estimators.items()],
    )
    print(
        f"noise ceiling: {ceiling}; metasmoothness: {found.metasmoothness:.2f}; null control: {found.null_sentence}\n"
    )
    for name in found.estimators:
        print(found.sentence(name))
    if len(found.estimators) > 1:
        print(f"the best of them here: {found.best}")

"""`python -m engine validate`: measure whether influence predicts what removing records does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.allowed import allow
from engine.cli.notes import note_duration, note_elsewhere
from engine.cli.options import (
    Action,
    Base,
    Download,
    Json,
    Observation,
    OfRound,
    Records,
    Round,
    RunFolder,
    TargetOption,
    Tokens,
    check_no_tokens,
    chosen_sequence_target,
    chosen_target,
)
from engine.errors import CancelledError
from engine.terminal import duration, print_json, print_table, progress

if TYPE_CHECKING:
    from engine.core.trust import Validation
    from engine.kinds.language.sequences import LanguageSnapshot
    from engine.kinds.language.targets import TokenTarget


def validate(
    run: RunFolder,
    round: Round,
    target: TargetOption = None,
    of_round: OfRound = None,
    record: Records = None,
    tokens: Tokens = None,
    obs: Observation = None,
    action: Action = None,
    subsets: Annotated[int, typer.Option(help="Subsets of the records to remove, at least 3.")] = 64,
    orders: Annotated[int, typer.Option(help="Minibatch orders to replay each in.")] = 16,
    fraction: Annotated[float, typer.Option(help="Share of the records in a subset, above 0 and below 1.")] = 0.5,
    design: Annotated[str, typer.Option(help="random subsets, or extremes: the top and bottom records.")] = "random",
    estimator: Annotated[
        list[str] | None, typer.Option(help="Whose influence to check; repeat for more. By default first_order.")
    ] = None,
    score_orders: Annotated[
        int, typer.Option(help="Minibatch orders that the influence is averaged over; 1 is the recorded one.")
    ] = 1,
    executor: Annotated[str, typer.Option(help="inline, processes or ray.")] = "processes",
    workers: Annotated[int | None, typer.Option(help="Replays at a time; by default one a core.")] = None,
    device: Annotated[
        str, typer.Option(help="cpu replays exactly; cuda replays hundreds at a time, to rounding.")
    ] = "cpu",
    base: Base = None,
    download: Download = False,
    as_json: Json = False,
) -> None:
    """Remove random records, really replay the round, and see who predicted it."""
    from engine.core.costs import finished, scoring_seconds
    from engine.core.estimators import DEFAULT_ESTIMATOR
    from engine.core.replays import replay_seconds
    from engine.core.targets import in_words
    from engine.core.validation import validate as measure
    from engine.executors import check_executor
    from engine.store.read import open_run

    allow(base, download=download)
    opened = open_run(run)
    estimators = list(dict.fromkeys(estimator or [DEFAULT_ESTIMATOR]))
    if opened.is_language:
        others = {
            "--of-round": of_round,
            "--obs": obs,
            "--action": action,
            "--design": None if design == "random" else design,
            "--device": None if device == "cpu" else device,
            "--score-orders": None if score_orders == 1 else score_orders,
        }
        sequences = opened.snapshot(round)
        found, words = _of_sequences(
            sequences,
            chosen_sequence_target(sequences, target, record=record, tokens=tokens, others=others),
            estimators,
            subsets=subsets,
            orders=orders,
            fraction=fraction,
            executor=executor,
            workers=workers,
            run=run,
        )
        _show(found, run, words, as_json)
        return
    check_no_tokens(tokens)
    snapshot = opened.snapshot(round)
    chosen = chosen_target(snapshot, target, of_round=of_round, record=record, obs=obs, action=action)
    settings = (estimators, subsets, orders, fraction, design, score_orders, device)
    check_executor(executor, workers)
    done, total = finished(snapshot, chosen, *settings)
    note_elsewhere(snapshot)
    note_duration("scoring the records", scoring_seconds(snapshot, estimators, score_orders, chosen))
    if done < total and device == "cpu":
        _note_replays(replay_seconds(snapshot), total - done, executor, workers)
    try:
        with progress() as report:
            found = measure(
                snapshot,
                chosen,
                estimators,
                subsets=subsets,
                orders=orders,
                fraction=fraction,
                design=design,
                score_orders=score_orders,
                executor=executor,
                workers=workers,
                device=device,
                report=report,
            )
    except KeyboardInterrupt:
        raise _stopped(run, *finished(snapshot, chosen, *settings)) from None
    _show(found, run, in_words(chosen, snapshot.action_space.value_names), as_json)


def _of_sequences(
    snapshot: LanguageSnapshot,
    target: TokenTarget,
    estimators: list[str],
    *,
    subsets: int,
    orders: int,
    fraction: float,
    executor: str,
    workers: int | None,
    run: Path,
) -> tuple[Validation, str]:
    """The same of a language model's round, and the target in words."""
    from engine.core.replays import replay_seconds
    from engine.executors import check_executor
    from engine.kinds.language.replay import replay_language
    from engine.kinds.language.validation import finished_language_replays, validate_language

    check_executor(executor, workers)

    done, total = finished_language_replays(snapshot, target, subsets, orders, fraction)
    note_elsewhere(snapshot)
    if done < total:
        _note_replays(replay_seconds(snapshot, replay_language), total - done, executor, workers)
    try:
        with progress() as report:
            found = validate_language(
                snapshot,
                target,
                estimators,
                subsets=subsets,
                orders=orders,
                fraction=fraction,
                executor=executor,
                workers=workers,
                report=report,
            )
    except KeyboardInterrupt:
        raise _stopped(run, *finished_language_replays(snapshot, target, subsets, orders, fraction)) from None
    return found, target.words


def _note_replays(one: float, count: int, executor: str, workers: int | None) -> None:
    from engine.core.costs import replaying_seconds

    seconds = replaying_seconds(one, count, workers, pool=executor != "inline")
    note_duration(f"replaying the update {count} times", seconds)


def _stopped(run: Path, done: int, total: int) -> CancelledError:
    return CancelledError(
        f"stopped; {done} of {total} replays are finished and kept in {run / 'derived'}; continue with the same command"
    )


def _show(found: Validation, run: Path, target: str, as_json: bool) -> None:
    if as_json:
        print_json({"run": str(run), **found.to_json()})
    else:
        _print(found, run, target)


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

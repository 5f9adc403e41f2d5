"""`python -m engine influence`: how much each record of a round raised or lowered a target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from engine.errors import BadInputError, StorageError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.core.scores import Scores
    from engine.store.snapshot import Snapshot


def influence(
    run: RunFolder,
    round: Round,
    target: TargetOption = None,
    of_round: OfRound = None,
    record: Records = None,
    tokens: Tokens = None,
    obs: Observation = None,
    action: Action = None,
    estimator: Annotated[
        str,
        typer.Option(
            help="first_order (one inner product), tracin, tracin_adam, replay_gradient (the whole update) or "
            "replay_regression (a thousand real replays)."
        ),
    ] = "first_order",
    orders: Annotated[int, typer.Option(help="Minibatch orders to average over; 1 is the recorded one.")] = 1,
    by_layer: Annotated[bool, typer.Option("--by-layer", help="Split it by layer of the policy, too.")] = False,
    by_episode: Annotated[
        bool,
        typer.Option(
            "--by-episode",
            help="Sum it over the records of each episode, of sequences over the responses to each prompt.",
        ),
    ] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Compute anew what is cached.")] = False,
    executor: Executor = "processes",
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option(help="Write record and influence to this Parquet file.")] = None,
    as_json: Json = False,
) -> None:
    """Compute how much each record of a round raised or lowered a target."""
    from engine.core.estimators import foretold
    from engine.core.estimators.averaged_over_orders import influence_seconds
    from engine.core.influence import influence as compute
    from engine.core.influence import read_influence
    from engine.core.kind import kind_of
    from engine.core.scores import expected_said
    from engine.core.targets.functions import in_words
    from engine.executors import Pool
    from engine.store.read import open_run

    _check_out(out)
    pool = Pool(executor, workers)
    pool.check()
    snapshot = open_run(run, indexed=True).snapshot(round)
    chosen = chosen_target(snapshot, target, of_round=of_round, record=record, obs=obs, action=action, tokens=tokens)
    at_once = estimator == "first_order" and orders == 1
    scores = None if refresh else read_influence(snapshot, chosen, estimator, orders=orders, by_layer=by_layer)
    if scores is None:
        if estimator != "first_order":
            note_elsewhere(snapshot)
        if not at_once:
            note_duration(estimator, influence_seconds(snapshot, estimator, chosen, orders, by_layer, pool))
        with progress(quiet=at_once, percent=True) as report:
            scores = compute(
                snapshot,
                chosen,
                estimator,
                orders=orders,
                by_layer=by_layer,
                on_step=lambda done, total: report(estimator, done, total),
                refresh=refresh,
                pool=pool,
            )
    metadata = {
        "run": str(run),
        "round": round,
        **scores.target,
        **({} if of_round is None else {"of_round": of_round}),
        "estimator": estimator,
        "orders": scores.orders,
        "commit": scores.snapshot_hash,
        **expected_said(scores.expected),
    }
    _write(out, scores.to_arrow(), metadata)
    word, sums = _by_group(snapshot, scores) if by_episode else ("", [])
    if as_json:
        print_json(
            {
                **metadata,
                "record": list(range(len(scores))),
                "influence": scores.influence.tolist(),
                "terms": {term: part.tolist() for term, part in scores.terms.items()},
                **({} if scores.token_start is None else {"no_signal": scores.no_signal.tolist()}),
                **({"layers": {name: part.tolist() for name, part in scores.layers.items()}} if by_layer else {}),
                **({f"{word}s": sums} if by_episode else {}),
            }
        )
        return
    averaged = f", mean of {orders} minibatch orders" if orders > 1 else ""
    names = kind_of(snapshot).action_names(snapshot)
    print(f"{estimator} influence on the {in_words(chosen, names)}, round {round} of {run}{averaged}")
    if scores.expected is not None:
        print(f"not measured; {foretold.in_words(scores.expected)}")
    _print_records(snapshot, scores)
    if by_layer:
        parts = {name: (float(part.sum()), float(abs(part).sum())) for name, part in scores.layers.items()}
        print("\nby layer")
        print_table(("layer", "sum", "sum of sizes"), [(name, *both) for name, both in parts.items()])
    if by_episode:
        print(f"\nby {word}")
        print_table(tuple(sums[0]), [tuple(row.values()) for row in sums])


def _print_records(snapshot: Snapshot, scores: Scores) -> None:
    """The records that helped and hurt most, and by which terms, where there is more than the actor's."""
    from engine.core.kind import kind_of

    kind, without = kind_of(snapshot), int(scores.no_signal.sum())
    if without:
        print(
            f"{without} of {len(scores)} {kind.words.records} have no signal: all that they are compared with were rewarded alike"
        )
    terms = [*scores.terms] if any(part.any() for term, part in scores.terms.items() if term != "actor") else []
    for title, records in (("helped most", scores.top(10)), ("hurt most", scores.bottom(10))):
        print(f"\n{title}")
        columns: dict[str, list[Any]] = {
            "record": records.tolist(),
            "influence": scores.influence[records].tolist(),
            **{term: scores.terms[term][records].tolist() for term in terms},
            **kind.columns(snapshot, records.tolist()),
        }
        print_table(tuple(columns), list(zip(*columns.values(), strict=True)))


def _by_group(snapshot: Snapshot, scores: Scores) -> tuple[str, list[dict[str, float]]]:
    """What groups of records are called (episodes, the responses to a prompt), and the sums over each."""
    from engine.core.estimators.sums import sum_by
    from engine.core.kind import kind_of

    word, group = kind_of(snapshot).groups(snapshot)
    numbers, totals = sum_by(scores.influence, group)
    parts = {term: sum_by(part, group)[1] for term, part in scores.terms.items()}
    return word, [
        {
            word: int(number),
            "records": int((group == number).sum()),
            "influence": float(totals[row]),
            **{term: float(sums[row]) for term, sums in parts.items()},
        }
        for row, number in enumerate(numbers)
    ]


def _check_out(out: Path | None) -> None:
    """Refuse a place that holds something other than a file, such as a device; it would be replaced.

    Raises:
        BadInputError: it is one.
    """
    if out is not None and out.exists() and not out.is_file():
        raise BadInputError(f"{out} can't be written: it is there, and no file; name a file to make or to replace")


def _write(out: Path | None, table: pa.Table, metadata: Mapping[str, object]) -> None:
    """Write a table whose metadata says where its numbers come from."""
    from engine.store.files import Files
    from engine.store.parquet import to_parquet

    if out is None:
        return
    try:
        Files().replace(out, to_parquet(table.replace_schema_metadata({"influence": json.dumps(metadata)})))
    except (StorageError, OSError) as error:
        raise BadInputError(f"{out} can't be written ({error}); name a file in a folder that is there") from None

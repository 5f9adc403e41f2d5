"""`python -m engine influence`: how much each record of a round raised or lowered a target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import (
    Action,
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
from engine.errors import BadInputError, StorageError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.rlhf.targets import TokenTarget
    from engine.store.sequences import LanguageSnapshot


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
    refresh: Annotated[bool, typer.Option("--refresh", help="Compute anew what is cached.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write record and influence to this Parquet file.")] = None,
    as_json: Json = False,
) -> None:
    """Compute how much each record of a round raised or lowered a target."""
    from engine.attribution.estimators import top_and_bottom
    from engine.attribution.influence import influence as compute
    from engine.attribution.influence import scores_table
    from engine.attribution.targets import in_words
    from engine.store.read import open_run

    opened = open_run(run)
    if opened.is_language:
        others = {"--of-round": of_round, "--obs": obs, "--action": action, "--orders": None if orders == 1 else orders}
        sequences = opened.language_snapshot(round)
        _of_sequences(
            sequences,
            chosen_sequence_target(sequences, target, record=record, tokens=tokens, others=others),
            estimator,
            run=run,
            refresh=refresh,
            out=out,
            as_json=as_json,
        )
        return
    check_no_tokens(tokens)
    snapshot = opened.snapshot(round)
    chosen = chosen_target(snapshot, target, of_round=of_round, record=record, obs=obs, action=action)
    with progress(quiet=estimator == "first_order" and orders == 1, percent=True) as report:
        scores = compute(
            snapshot,
            chosen,
            estimator,
            orders=orders,
            on_step=lambda done, total: report(estimator, done, total),
            refresh=refresh,
        )
    about = {
        "run": str(run),
        "round": round,
        **scores.target,
        **({} if of_round is None else {"of_round": of_round}),
        "estimator": estimator,
        "orders": scores.orders,
        "commit": scores.snapshot_hash,
    }
    _write(out, scores_table(scores), about)
    if as_json:
        print_json({**about, "record": list(range(len(scores.influence))), "influence": scores.influence.tolist()})
        return
    buffer = snapshot.buffer
    averaged = f", mean of {orders} minibatch orders" if orders > 1 else ""
    print(
        f"{estimator} influence on the {in_words(chosen, snapshot.action_space.value_names)}, round {round} of {run}{averaged}"
    )
    for title, records in zip(("helped most", "hurt most"), top_and_bottom(scores.influence, 10), strict=True):
        print(f"\n{title}")
        print_table(
            ("record", "influence", "episode", "action", "reward", "advantage"),
            [
                (
                    int(i),
                    float(scores.influence[i]),
                    int(buffer.episode[i]),
                    str(buffer.action[i]),
                    float(buffer.reward[i]),
                    float(buffer.advantage[i]),
                )
                for i in records
            ],
        )


def _of_sequences(
    snapshot: LanguageSnapshot,
    target: TokenTarget,
    estimator: str,
    *,
    run: Path,
    refresh: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """The same of a language model's round."""
    from engine.attribution.estimators import top_and_bottom
    from engine.rlhf.influence import sequence_influence, sequence_scores_table

    buffer = snapshot.buffer
    scores = sequence_influence(snapshot, target, estimator, refresh=refresh)
    about = {
        "run": str(run),
        "round": snapshot.round,
        **scores.target,
        "estimator": estimator,
        "orders": 1,
        "commit": snapshot.hash,
    }
    _write(out, sequence_scores_table(buffer, scores), about)
    if as_json:
        print_json(
            {
                **about,
                "record": buffer.record.tolist(),
                "influence": scores.influence.tolist(),
                "no_signal": scores.no_signal.tolist(),
            }
        )
        return
    print(f"{estimator} influence on the {target.words}, round {snapshot.round} of {run}")
    quiet = int(scores.no_signal.sum())
    if quiet:
        print(f"{quiet} of {len(buffer)} sequences have no signal: all responses to their prompt were rewarded alike")
    for title, records in zip(("helped most", "hurt most"), top_and_bottom(scores.influence, 10), strict=True):
        print(f"\n{title}")
        print_table(
            ("record", "influence", "reward", "response"),
            [
                (int(i), float(scores.influence[i]), float(buffer.reward[i]), shortened(buffer.response[i]))
                for i in records
            ],
        )


def shortened(text: str, length: int = 60) -> str:
    """A text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _write(out: Path | None, table: pa.Table, about: Mapping[str, object]) -> None:
    """Write a table whose metadata says where its numbers come from."""
    from engine.store.files import Files
    from engine.store.parquet import to_parquet

    if out is None:
        return
    try:
        Files().replace(out, to_parquet(table.replace_schema_metadata({"influence": json.dumps(about)})))
    except (StorageError, OSError) as error:
        raise BadInputError(f"{out} can't be written ({error}); name a file in a folder that is there") from None

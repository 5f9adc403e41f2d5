"""`python -m engine influence`: how much each record of a round raised or lowered a target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
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
from engine.errors import BadInputError, StorageError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.core.scores import Scores
    from engine.kinds.language.sequences import LanguageSnapshot
    from engine.kinds.language.targets import TokenTarget
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
    by_episode: Annotated[bool, typer.Option("--by-episode", help="Sum it over the records of each episode.")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Compute anew what is cached.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write record and influence to this Parquet file.")] = None,
    base: Base = None,
    download: Download = False,
    as_json: Json = False,
) -> None:
    """Compute how much each record of a round raised or lowered a target."""
    from engine.core.influence import influence as compute
    from engine.core.influence import read_influence, scores_table
    from engine.core.orders import estimate_seconds
    from engine.core.targets import in_words
    from engine.store.read import open_run

    allow(base, download=download)
    _check_out(out)
    opened = open_run(run)
    if opened.is_language:
        others = {
            "--of-round": of_round,
            "--obs": obs,
            "--action": action,
            "--orders": None if orders == 1 else orders,
            "--by-layer": by_layer or None,
            "--by-episode": by_episode or None,
        }
        sequences = opened.snapshot(round)
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
    at_once = estimator == "first_order" and orders == 1
    scores = None if refresh else read_influence(snapshot, chosen, estimator, orders=orders, by_layer=by_layer)
    if scores is None:
        if estimator != "first_order":
            note_elsewhere(snapshot)
        if not at_once:
            note_duration(estimator, estimate_seconds(snapshot, estimator, chosen, orders, by_layer))
        with progress(quiet=at_once, percent=True) as report:
            scores = compute(
                snapshot,
                chosen,
                estimator,
                orders=orders,
                by_layer=by_layer,
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
    episodes = _episodes(snapshot, scores) if by_episode else []
    if as_json:
        print_json(
            {
                **about,
                "record": list(range(len(scores.influence))),
                "influence": scores.influence.tolist(),
                "terms": {term: part.tolist() for term, part in scores.terms.items()},
                **({"layers": {name: part.tolist() for name, part in scores.layers.items()}} if by_layer else {}),
                **({"episodes": episodes} if by_episode else {}),
            }
        )
        return
    averaged = f", mean of {orders} minibatch orders" if orders > 1 else ""
    print(
        f"{estimator} influence on the {in_words(chosen, snapshot.action_space.value_names)}, round {round} of {run}{averaged}"
    )
    _print_records(snapshot, scores)
    if by_layer:
        sums = {name: (float(part.sum()), float(abs(part).sum())) for name, part in scores.layers.items()}
        print("\nby layer")
        print_table(("layer", "sum", "sum of sizes"), [(name, *both) for name, both in sums.items()])
    if by_episode:
        print("\nby episode")
        print_table(tuple(episodes[0]), [tuple(row.values()) for row in episodes])


def _print_records(snapshot: Snapshot, scores: Scores) -> None:
    """The records that helped and hurt most, and by which terms, where there is more than the actor's."""
    from engine.core.attribution import top_and_bottom

    buffer = snapshot.buffer
    terms = [*scores.terms] if any(part.any() for term, part in scores.terms.items() if term != "actor") else []
    for title, records in zip(("helped most", "hurt most"), top_and_bottom(scores.influence, 10), strict=True):
        print(f"\n{title}")
        print_table(
            ("record", "influence", *terms, "episode", "action", "reward", "advantage"),
            [
                (
                    int(i),
                    float(scores.influence[i]),
                    *(float(scores.terms[term][i]) for term in terms),
                    int(buffer.episode[i]),
                    str(buffer.action[i]),
                    float(buffer.reward[i]),
                    float(buffer.advantage[i]),
                )
                for i in records
            ],
        )


def _episodes(snapshot: Snapshot, scores: Scores) -> list[dict[str, float]]:
    """Sums over the records of each episode: of influence and of its terms."""
    from engine.core.grouping import sum_by

    episode = snapshot.buffer.episode
    numbers, totals = sum_by(scores.influence, episode)
    parts = {term: sum_by(part, episode)[1] for term, part in scores.terms.items()}
    return [
        {
            "episode": int(number),
            "records": int((episode == number).sum()),
            "influence": float(totals[row]),
            **{term: float(sums[row]) for term, sums in parts.items()},
        }
        for row, number in enumerate(numbers)
    ]


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
    from engine.core.attribution import top_and_bottom
    from engine.core.orders import planned_steps
    from engine.kinds.language.influence import (
        estimate_seconds,
        read_sequence_influence,
        sequence_influence,
        sequence_scores_table,
    )

    buffer, at_once = snapshot.buffer, estimator == "first_order"
    scores = None if refresh else read_sequence_influence(snapshot, target, estimator)
    if scores is None:
        if not at_once:
            note_elsewhere(snapshot)
        note_duration(estimator, estimate_seconds(snapshot, estimator))
        steps, done = planned_steps(snapshot), count()
        with progress(quiet=at_once, percent=True) as report:
            scores = sequence_influence(
                snapshot,
                target,
                estimator,
                on_step=lambda: report(estimator, next(done), steps),
                refresh=refresh,
            )
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


def _check_out(out: Path | None) -> None:
    """Refuse a place that holds something other than a file, such as a device; it would be replaced.

    Raises:
        BadInputError: it is one.
    """
    if out is not None and out.exists() and not out.is_file():
        raise BadInputError(f"{out} can't be written: it is there, and no file; name a file to make or to replace")


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

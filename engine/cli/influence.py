"""`python -m engine influence`: how much each record of a round raised or lowered a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    chosen_target,
)
from engine.errors import BadInputError, StorageError
from engine.terminal import print_json, print_table, progress


def influence(
    run: RunFolder,
    round: Round,
    target: TargetOption = "return",
    of_round: OfRound = None,
    record: Records = None,
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
    from engine.store.files import Files
    from engine.store.parquet import to_parquet
    from engine.store.read import open_run

    snapshot = open_run(run).snapshot(round)
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
    if out is not None:
        try:
            Files().replace(out, to_parquet(scores_table(scores.influence, scores.terms)))
        except (StorageError, OSError) as error:
            raise BadInputError(f"{out} can't be written ({error}); name a file in a folder that is there") from None
    about = {
        "run": str(run),
        "round": round,
        **scores.target,
        **({} if of_round is None else {"of_round": of_round}),
        "estimator": estimator,
        "orders": scores.orders,
    }
    if as_json:
        print_json({**about, "record": list(range(len(scores.influence))), "influence": scores.influence.tolist()})
        return
    buffer = snapshot.buffer
    averaged = f", mean of {orders} minibatch orders" if orders > 1 else ""
    print(
        f"{estimator} influence on the {in_words(chosen, snapshot.action_space.names)}, round {round} of {run}{averaged}"
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

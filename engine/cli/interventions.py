"""`python -m engine interventions`: the single-round intervention at every recorded round, each by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine import arguments
from engine.cli.options import Executor, Json, RunFolder, Workers
from engine.errors import CancelledError
from engine.terminal import print_json, print_table, progress


def interventions(
    run: RunFolder,
    drop_bottom: Annotated[
        float, typer.Option(help="Remove this fraction of the records with negative influence on the return.")
    ] = 1.0,
    estimator: Annotated[str, typer.Option(help="Of the influence that ranks them; see `influence`.")] = "first_order",
    mode: Annotated[str, typer.Option(help="mask or rebatch.")] = "mask",
    orders: Annotated[int, typer.Option(help="Replays per arm and round, each in a minibatch order of its own.")] = 8,
    evaluate: Annotated[int, typer.Option(help="Evaluation episodes per arm and round.")] = 64,
    rounds: Annotated[str | None, typer.Option(help="Such as 0-9,20; by default all rounds with records.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; by default among the run's interventions.")
    ] = None,
    executor: Executor = "processes",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Remove the bottom records of each round, by itself: what does it do to the return, over training?"""
    from engine.core.replays.replay import check_mode
    from engine.executors import Pool
    from engine.intervention.across import series_of
    from engine.jobs.series import create_series
    from engine.jobs.work import work_series
    from engine.store.read import open_run

    opened = open_run(run, indexed=True)
    pool = Pool(executor, workers)
    pool.check()
    series = series_of(
        opened,
        None if rounds is None else sorted(arguments.ranges(rounds)),
        drop_bottom=drop_bottom,
        estimator=estimator,
        mode=check_mode(mode),
        orders=orders,
        episodes=evaluate,
    )
    job, _ = create_series(opened, series, out)
    try:
        with progress() as report:
            result = work_series(opened, job.folder, report, pool)
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; finished rounds are kept in {job.folder}, continue with the same command"
        ) from None
    if as_json:
        print_json({**result, "run": str(run), "folder": str(job.folder)})
    else:
        _print(result, job.folder)


def _print(result: dict[str, Any], folder: Path) -> None:
    from engine.intervention.series_summary import changes, sentences

    print_table(
        ("round", "removed", "return", "change", "95 % interval", "random removal", "verdict"),
        [
            (
                found["round"],
                found["removed_count"],
                found["original"]["mean"],
                found["difference"]["mean"],
                f"{found['difference']['low']:.4g} to {found['difference']['high']:.4g}",
                float(changes(found)["control"].mean()),
                found["verdict"],
            )
            for found in result["rounds"]
            if "skipped" not in found
        ],
    )
    series = result["series"]
    print(
        f"removed: the bottom {series['drop_bottom']:.0%} of the records with negative {series['estimator']} influence on "
        f"the return; {series['orders']} minibatch orders, mode {series['mode']}, {series['episodes']} episodes per arm; "
        f"kept in {folder}"
    )
    for sentence in sentences(result["summary"]):
        print(sentence)

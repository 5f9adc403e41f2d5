"""`python -m engine retrain`: a round without some of its records, or with these repaired."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from engine import arguments
from engine.cli.options import Executor, Json, Round, RunFolder, Workers, folder
from engine.cli.remarks import note, note_elsewhere
from engine.errors import BadInputError, CancelledError
from engine.terminal import print_json, print_table, progress

CHANGES = ("counterfactual", "control", "difference_from_control")
"""How a number on records changed: without the chosen ones, without random ones, and between the two."""

_TO_TRY = {
    "another estimator": "records that another estimator ranks worst (influence --estimator NAME, then --drop-file)",
    "train on": "training on with data collected anew (--continue-rounds 5 --seeds 3)",
    "more orders": "more minibatch orders (--orders {orders})",
}
"""What the options are of what can be tried next."""


def retrain(
    run: RunFolder,
    round: Round,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the branch run to make, or its address; by default among the run's interventions.",
            parser=folder,
        ),
    ] = None,
    drop_bottom: Annotated[
        float | None,
        typer.Option(help="Remove this fraction of the records with negative influence on the return."),
    ] = None,
    drop_file: Annotated[Path | None, typer.Option(help="Remove the record numbers in this text file.")] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Don't remove the records: they go on training, with their TD errors in the place of their advantages.",
        ),
    ] = False,
    mode: Annotated[str, typer.Option(help="mask or rebatch.")] = "mask",
    orders: Annotated[int, typer.Option(help="Replays per arm, each in a minibatch order of its own.")] = 8,
    evaluate: Annotated[int, typer.Option(help="Evaluation episodes per arm.")] = 64,
    continue_rounds: Annotated[int, typer.Option(help="Rounds to train on afterwards.")] = 0,
    seeds: Annotated[int, typer.Option(help="Train every arm on that often, each time with newly collected data.")] = 1,
    executor: Executor = "processes",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Replay a round without some records, or with these repaired; compare with the original and with random records.

    Where no policy can be played, the arms are compared on recorded rounds: return target, KL and log-probabilities.
    """
    from engine.core.filtering import bottom_fraction
    from engine.core.influence import influence
    from engine.core.kind import kind_of
    from engine.core.replays.replay import check_mode
    from engine.core.targets.question import TargetName
    from engine.executors import Pool
    from engine.intervention.duration import worth
    from engine.intervention.origin import Chosen
    from engine.intervention.plan import Intervention, check_possible
    from engine.intervention.retrain import carry_out
    from engine.jobs.interventions import create_job, predicted
    from engine.jobs.work import work
    from engine.store.read import open_run

    if (drop_bottom is None) == (drop_file is None):
        raise BadInputError("say which records to remove: either --drop-bottom P or --drop-file IDS")
    pool = Pool(executor, workers)
    pool.check()
    opened = open_run(run, indexed=True)
    snapshot = opened.snapshot(round)
    if drop_bottom is not None:
        drop = bottom_fraction(influence(snapshot).influence, drop_bottom).tolist()
    else:
        drop = arguments.record_numbers(drop_file or Path())
    plan = Intervention(
        round=round,
        removed=tuple(drop),
        repair=repair,
        mode=check_mode(mode),
        orders=orders,
        episodes=evaluate,
        continue_rounds=continue_rounds,
        seeds=seeds,
        measured=TargetName(target=kind_of(snapshot).default_target),
    )
    check_possible(snapshot, plan)
    note_elsewhere(snapshot)
    if unplayed := kind_of(snapshot).unplayed(snapshot):
        note(f"{unplayed}; the policies are compared on recorded rounds, without evaluation episodes")
    try:
        with progress() as report:
            if out is None:
                foretold = predicted(snapshot, plan)
                origin = _origin(plan, drop_bottom, foretold)
                chosen = (Chosen(records=len(plan.removed), origin=origin),)
                job, _ = create_job(opened, snapshot, plan, foretold, chosen)
                result: Mapping[str, Any] = work(job.folder, report, pool)
            else:
                result = carry_out(opened, plan, out, report, pool=worth(pool, snapshot, plan))
                foretold = predicted(snapshot, plan)
    except KeyboardInterrupt:
        raise CancelledError("stopped; no branch was recorded") from None
    if as_json:
        print_json(dict(result))
        return
    _print_result(result, plan, foretold["summed_influence"])


def _print_result(result: Mapping[str, Any], plan: Any, summed_influence: float | None) -> None:
    """For people: the arms, target and return in one sentence, the verdict, and what to try."""
    from engine.intervention.comparison import meaning
    from engine.intervention.target_and_return import joined, to_try
    from engine.intervention.unplayed import means_on_records, not_played

    played, repair = "unplayed" not in result, plan.repair
    (_print_arms if played else _print_on_records)(result)
    print(
        f"{'repaired' if repair else 'removed'} {len(result['removed'])} of {result['records']} records, {plan.orders} minibatch "
        f"orders{'' if repair else f', mode {plan.mode}'}"
    )
    if not played:
        print(not_played(result))
    print(joined(result, summed_influence))
    print(f"{result['verdict']}: {meaning(result['verdict'], repair) if played else means_on_records(result)}")
    for attempt in to_try(result, summed_influence):
        print(f"to try: {_TO_TRY[attempt].format(orders=2 * plan.orders)}")
    if "recollected" in result:
        again = result["recollected"]
        print(f"\ntrained on for {plan.continue_rounds} rounds with data collected anew, {plan.seeds} seeds")
        _print_arms(again["evaluation"])
        print(f"{again['verdict']}: {meaning(again['verdict'], repair)}")


def _origin(plan: Any, drop_bottom: float | None, foretold: Mapping[str, Any]) -> Any:
    """Where the records came from: ranked here, or listed in a file."""
    from engine.core.targets.question import Question
    from engine.intervention.origin import Origin

    if drop_bottom is None:
        return Origin(way="file")
    return Origin.shown(Question(target=plan.measured, estimator=foretold["estimator"]), "worst", share=drop_bottom)


def _print_arms(compared: Mapping[str, Any]) -> None:
    print_table(
        ("arm", "mean return", "95 % interval", "episodes"),
        [
            (name, arm["mean"], f"{arm['low']:.4g} to {arm['high']:.4g}", arm["episodes"])
            for name in ("original", "counterfactual", "control")
            for arm in (compared[name],)
        ],
    )


def _print_on_records(result: Mapping[str, Any]) -> None:
    from engine.intervention.unplayed import NUMBERS

    print_table(
        ("records of round", "number", "change", "change with random ones", "between the two"),
        [
            (str(on["round"]), NUMBERS[name], *(_interval(on[name][each]) for each in CHANGES))
            for on in result["by_round"]
            for name in NUMBERS
            if name in on
        ],
    )
    print("mean and 95 % interval over the minibatch orders; KL in nats, from the policy without a removal")
    for line in result["left_out"]:
        print(f"left out: {line}")


def _interval(change: Mapping[str, Any]) -> str:
    return f"{change['mean']:+.3g} ({change['low']:+.3g} to {change['high']:+.3g})"

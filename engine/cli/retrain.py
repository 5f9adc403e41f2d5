"""`python -m engine retrain`: a round without some of its records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from engine import arguments
from engine.cli.options import Json, Round, RunFolder
from engine.cli.remarks import note, note_elsewhere
from engine.errors import BadInputError, CancelledError
from engine.terminal import print_json, print_table, progress

CHANGES = ("counterfactual", "control", "difference_from_control")
"""How a number on records changed: without the chosen ones, without random ones, and between the two."""


def retrain(
    run: RunFolder,
    round: Round,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the branch run to make; by default among the run's interventions.")
    ] = None,
    drop_bottom: Annotated[
        float | None,
        typer.Option(help="Remove this fraction of the records with negative influence on the return."),
    ] = None,
    drop_file: Annotated[Path | None, typer.Option(help="Remove the record numbers in this text file.")] = None,
    mode: Annotated[str, typer.Option(help="mask or rebatch.")] = "mask",
    orders: Annotated[int, typer.Option(help="Replays per arm, each in a minibatch order of its own.")] = 8,
    evaluate: Annotated[int, typer.Option(help="Evaluation episodes per arm.")] = 64,
    continue_rounds: Annotated[int, typer.Option(help="Rounds to train on afterwards.")] = 0,
    seeds: Annotated[int, typer.Option(help="Train every arm on that often, each time with newly collected data.")] = 1,
    as_json: Json = False,
) -> None:
    """Replay a round without some records; compare with the original and with a random removal.

    Where no policy can be played, the arms are compared on recorded rounds: return target, KL and log-probabilities.
    """
    from engine.core.filtering import bottom_fraction
    from engine.core.influence import influence
    from engine.core.kind import kind_of
    from engine.core.replays.replay import check_mode, check_replayable
    from engine.core.targets.question import TargetName
    from engine.intervention.comparison import meaning
    from engine.intervention.plan import Intervention
    from engine.intervention.retrain import carry_out
    from engine.intervention.unplayed import means_on_records, not_played
    from engine.jobs.interventions import create_job, predicted
    from engine.jobs.work import work
    from engine.store.read import open_run

    if (drop_bottom is None) == (drop_file is None):
        raise BadInputError("say which records to remove: either --drop-bottom P or --drop-file IDS")
    opened = open_run(run)
    snapshot = opened.snapshot(round)
    if drop_bottom is not None:
        drop = bottom_fraction(influence(snapshot).influence, drop_bottom).tolist()
    else:
        drop = arguments.record_numbers(drop_file or Path())
    plan = Intervention(
        round=round,
        removed=tuple(drop),
        mode=check_mode(mode),
        orders=orders,
        episodes=evaluate,
        continue_rounds=continue_rounds,
        seeds=seeds,
        measured=TargetName(target=kind_of(snapshot).default_target),
    )
    check_replayable(snapshot)
    kind_of(snapshot).removed(snapshot, plan.removed)
    note_elsewhere(snapshot)
    if unplayed := kind_of(snapshot).unplayed(snapshot):
        note(f"{unplayed}; the policies are compared on recorded rounds, without evaluation episodes")
    try:
        with progress() as report:
            if out is None:
                job, _ = create_job(opened, snapshot, plan, predicted(snapshot, plan))
                result: Mapping[str, Any] = work(job.folder, report)
            else:
                result = carry_out(opened, plan, out, report)
    except KeyboardInterrupt:
        raise CancelledError("stopped; no branch was recorded") from None
    if as_json:
        print_json(dict(result))
        return
    played = "unplayed" not in result
    (_print_arms if played else _print_on_records)(result)
    print(f"removed {len(result['removed'])} of {result['records']} records, {orders} minibatch orders, mode {mode}")
    if not played:
        print(not_played(result))
    print(f"{result['verdict']}: {meaning(result['verdict']) if played else means_on_records(result)}")
    if "recollected" in result:
        again = result["recollected"]
        print(f"\ntrained on for {continue_rounds} rounds with data collected anew, {seeds} seeds")
        _print_arms(again["evaluation"])
        print(f"{again['verdict']}: {meaning(again['verdict'])}")


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
        ("records of round", "number", "change without them", "without random ones", "between the two"),
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

"""`python -m engine reproduce` and `faithfulness`: run the paper's experiments, or measure the scores, and report them."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import arguments
from engine.cli.campaigns import trained
from engine.cli.courtesy import reproduce_courtesy
from engine.cli.options import Executor, Json, Workers
from engine.errors import BadInputError, CancelledError
from engine.experiments.plans import STUDIED
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.executors import Progress
    from engine.experiments.results import Campaign


def reproduce(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="frozenlake, acrobot, minigrid, highway, lunarlander, bipedalwalker (or the environment's name), or all "
            "of these; highway-fast; or courtesy, the demonstration of language models.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the campaign, to make or to continue.")],
    seeds: Annotated[int, typer.Option(help="Training seeds.")] = 5,
    first_seed: Annotated[
        int, typer.Option(help="The first of them: choose p on some seeds, report it on others.")
    ] = 0,
    executor: Executor = "processes",
    workers: Workers = None,
    arms: Annotated[
        list[str] | None,
        typer.Option(
            help='Only these, such as: --arms ppo "iif 0.5" "guarded 0.5". An arm with "reseeded" behind it, such as "iif 0.5 '
            "reseeded\", has the luck of its first round in every round, as the paper's code has.",
            metavar="ARM...",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Settings that all arms start from: paper, paper-adam or another of `envs`; by default paper."
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds to train; by default the preset's.")] = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            help="Evaluation episodes after a round, also where the return can be computed; for courtesy, judged responses."
        ),
    ] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(help="Rounds from one evaluation to the next; by default the experiment's.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting in every arm; repeat for more."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train PPO and its filters over several seeds, and report how much faster they learn."""
    from engine.experiments.campaign import finished_tasks, run_campaign
    from engine.experiments.plans import find_experiments
    from engine.experiments.report import write_report
    from engine.experiments.results import read_campaign

    if seeds < 1:
        raise BadInputError(f"--seeds is {seeds}; it must be at least 1")
    if first_seed < 0:
        raise BadInputError(f"--first-seed is {first_seed}; it must be at least 0")
    overrides = dict(arguments.setting(text) for text in settings or [])
    if [name.lower() for name in names] == ["courtesy"]:
        for name, given in (("--preset", preset), ("--first-seed", first_seed), ("--evaluate-every", evaluate_every)):
            if given:
                raise BadInputError(f"courtesy takes no {name}; leave it out")
        reproduce_courtesy(
            out,
            seeds,
            executor=executor,
            workers=workers,
            arms=arms,
            rounds=rounds,
            responses=episodes,
            settings=overrides,
            as_json=as_json,
        )
        return
    experiments = [
        e.changed(arms, rounds, episodes, overrides, preset, evaluate_every) for e in find_experiments(names)
    ]
    wanted = range(first_seed, first_seed + seeds)

    def train(command: str, report: Progress) -> tuple[Campaign, Path, pa.Table]:
        campaign = run_campaign(
            experiments, wanted, out, executor=executor, workers=workers, command=command, report=report
        )
        return campaign, *write_report(campaign)

    def report_what_is_there() -> None:
        with suppress(BadInputError):  # there is nothing to report yet
            write_report(read_campaign(out))

    campaign, page, table = trained(train, report_what_is_there, lambda: finished_tasks(experiments, wanted, out), out)
    for problem in campaign.damaged.values():
        print(problem, file=sys.stderr)
    if as_json:
        print_json({"folder": str(out), "report": str(page), "summary": table.to_pylist()})
        return
    _print_summary(table)
    print(f"report: {page}")


def _print_summary(table: pa.Table) -> None:
    """Two tables an experiment, which fit a narrow terminal."""
    from engine.experiments.report_tables import TITLES

    rows = table.to_pylist()
    for experiment in dict.fromkeys(row["experiment"] for row in rows):
        own = [row for row in rows if row["experiment"] == experiment]
        print(
            f"\n{experiment}: fewer rounds and less time than PPO; SE_sym with its 95 % interval, the paper's with standard error"
        )
        print_table(("arm", "seeds", *(f"{title} %" for title in TITLES.values())), [_savings(row) for row in own])
        scale = ", of PPO's range" if experiment == "all" else ""
        print(f"\n{experiment}: interquartile means{scale}, and differences to PPO with 95 % intervals")
        print_table(
            ("arm", "final return", "difference", "area", "difference"),
            [
                (row["arm"], row["final"], _interval(row, "final_gain"), row["area"], _interval(row, "area_gain"))
                for row in own
            ],
        )
    print()


def _savings(row: dict[str, Any]) -> list[str]:
    from engine.experiments.report_tables import saving_name
    from engine.experiments.summary import EFFICIENCIES

    low, high = row["se_sym_low"], row["se_sym_high"]
    symmetric = _percent(row["se_sym"], "" if low is None else f" ({100 * low:.0f} to {100 * high:.0f})")
    errors = {name: row[f"{name}_error"] for name in EFFICIENCIES}
    papers = [_percent(row[name], "" if error is None else f" ± {100 * error:.1f}") for name, error in errors.items()]
    return [saving_name(row["arm"]), str(row["seeds"]), symmetric, *papers]


def _percent(value: float | None, around: str) -> str:
    return "-" if value is None else f"{100 * value:.1f}{around}"


def _interval(row: dict[str, Any], name: str) -> str:
    from engine.experiments.findings import low_to_high

    if row[name] is None:
        return "-"
    return f"{row[name]:+.3g} ({low_to_high(row, name)})"


def faithfulness(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help=f"{', '.join(STUDIED)} or another experiment; or all of these."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the study's results.")],
    runs: Annotated[Path, typer.Option(help="Folder of the runs that are trained for it and measured.")] = Path(
        "runs/faithfulness"
    ),
    subsets: Annotated[int, typer.Option(help="Subsets of the records to remove, at least 3.")] = 64,
    orders: Annotated[int, typer.Option(help="Minibatch orders to replay each in.")] = 16,
    fraction: Annotated[
        list[float] | None, typer.Option(help="Share of the records; repeat. By default 0.5, 0.1.")
    ] = None,
    estimator: Annotated[
        list[str] | None, typer.Option(help="Estimators to check; repeat for more. By default all.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds to train; by default the experiment's.")] = None,
    executor: Executor = "processes",
    workers: Workers = None,
) -> None:
    """Measure where which estimator predicts what removal does: early, in the middle and late in training."""
    from engine.core.estimators.registry import ESTIMATORS
    from engine.experiments.faithfulness import FRACTIONS, Scale, study
    from engine.experiments.faithfulness_report import write_study_report
    from engine.experiments.plans import find_experiments

    chosen = STUDIED if "all" in names else [experiment.name for experiment in find_experiments(names)]
    scale = Scale(subsets, orders, tuple(fraction or FRACTIONS))
    try:
        with progress() as report:
            for name in chosen:
                study(
                    name,
                    out,
                    runs,
                    scale,
                    rounds=rounds,
                    estimators=tuple(dict.fromkeys(estimator or ESTIMATORS)),
                    executor=executor,
                    workers=workers,
                    command=shlex.join(["python", "-m", "engine", *sys.argv[1:]]),
                    report=report,
                )
    except KeyboardInterrupt:
        raise CancelledError(f"stopped; finished replays are kept in {runs}; continue with the same command") from None
    print(f"report: {write_study_report(out)}")

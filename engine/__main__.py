"""The command line: `python -m engine ...`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from engine import arguments
from engine.analysis.command import diagnose
from engine.attribution.command import validate
from engine.attribution.options import Action, Observation, OfRound, Records, TargetOption, chosen_target
from engine.errors import BadInputError, CancelledError, DamagedRunError, EngineError, StorageError
from engine.experiments.command import faithfulness, reproduce
from engine.terminal import print_json, print_table, progress

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Record PPO runs, see which records mattered, remove them, retrain.",
)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Round = Annotated[int, typer.Option(help="Round number, from 0.")]


@app.command()
def envs(as_json: Json = False) -> None:
    """List the environments and their presets."""
    from engine.envs import CATALOGUE

    if as_json:
        print_json(
            [
                {
                    "env_id": e.name,
                    "description": e.description,
                    "presets": {k: dict(v) for k, v in e.presets.items()},
                }
                for e in CATALOGUE.values()
            ]
        )
        return
    rows = [
        (e.name, e.description, name, ", ".join(f"{k}={v}" for k, v in fields.items()))
        for e in CATALOGUE.values()
        for name, fields in e.presets.items()
    ]
    print_table(("environment", "about", "preset", "settings that differ from the defaults"), rows)


@app.command()
def train(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Environment of the catalogue.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    rounds: Annotated[int | None, typer.Option(help="Rounds to train; by default the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seeds everything; by default 0.")] = None,
    preset: Annotated[str, typer.Option(help="Settings to start from; see `envs`.")] = "paper",
    record_filter: Annotated[
        str | None,
        typer.Option("--filter", help="Train on a part of each round: iif, guarded, random, advantage, td_error."),
    ] = None,
    drop: Annotated[float | None, typer.Option(help="How much the filter drops, above 0 and at most 1.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting; repeat for more."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """Train PPO and record every round."""
    from engine import envs
    from engine.intervention.filtering import train as train_rounds

    overrides: dict[str, Any] = dict(arguments.setting(text) for text in settings or [])
    overrides |= {
        name: value
        for name, value in (("seed", seed), ("rounds", rounds), ("filter", record_filter), ("drop", drop))
        if value is not None
    }
    config = envs.with_settings(env, preset, overrides)
    if drop is not None and config.filter == "none":
        raise BadInputError("--drop says how much a filter drops; name one with --filter, such as --filter iif")
    try:
        with progress() as report:
            for snapshot in train_rounds(config, out, resume=resume):
                mean = snapshot.metrics["mean_return"]
                shown = "no episode ended" if mean is None else f"mean return {mean:.2f}"
                report(f"round {snapshot.round}: {shown}", snapshot.round + 1, config.rounds)
            report("finished", config.rounds, config.rounds)
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; the committed rounds are in {out}. Continue with the same command and --resume"
        ) from None


@app.command()
def runs(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with runs in it.")],
    as_json: Json = False,
) -> None:
    """List the runs under a folder."""
    from engine.store.find import find_runs
    from engine.store.read import open_run

    if not directory.is_dir():
        raise BadInputError(f"{directory} is not a folder; name one that holds runs")
    found, damaged = [], []
    for path in find_runs(directory):
        try:
            found.append(_summary(open_run(path)))
        except EngineError as error:
            damaged.append(f"{path}: {error}")
    if as_json:
        print_json(found)
    elif not found:
        print(f"no runs under {directory}; record one with: python -m engine train CartPole-v1 --out {directory}/first")
    else:
        print_table(
            ("run", "environment", "seed", "rounds", "final return", "parent"),
            [
                (
                    run["run"],
                    run["env_id"],
                    run["config"]["seed"],
                    run["committed_rounds"],
                    run["final_return"],
                    run["parent"]["run"] if run["parent"] else "",
                )
                for run in found
            ],
        )
    for line in damaged:
        print(line, file=sys.stderr)


@app.command()
def show(run: RunFolder, as_json: Json = False) -> None:
    """Show a run's manifest, rounds and metrics."""
    from engine.store.read import open_run

    opened = open_run(run)
    about = _summary(opened)
    rounds = [{"round": info.round, "stored": info.stored, **info.metrics} for info in opened.rounds]
    if as_json:
        print_json({**about, "rounds": rounds})
        return
    for name in ("run", "env_id", "schema_version", "created", "parent"):
        print(f"{name}: {about[name]}")
    print("config: " + ", ".join(f"{k}={v}" for k, v in about["config"].items()))
    columns = (
        "records",
        "episodes",
        "mean_return",
        "value_loss",
        "entropy",
        "approx_kl",
        "explained_variance",
    )
    print_table(
        ("round", "stored", *columns),
        [(r["round"], "yes" if r["stored"] else "metrics only", *(r.get(c) for c in columns)) for r in rounds],
    )


@app.command()
def verify(run: RunFolder, as_json: Json = False) -> None:
    """Read and check every byte of a run; exit code 1 names what is damaged."""
    from engine.store.read import open_run
    from engine.store.verify import verify_run

    with suppress(DamagedRunError):
        open_run(run)
    damage = verify_run(run)
    if as_json:
        print_json({"ok": not damage, "damaged": [{"file": d.file, "problem": d.problem} for d in damage]})
    elif damage:
        for d in damage:
            print(d.problem if d.file in d.problem else f"{d.file}: {d.problem}")
    else:
        print(f"{run}: every byte is as it was committed")
    if damage:
        raise typer.Exit(1)


@app.command()
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


@app.command()
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
    """Replay a round without some records; compare with the original and with a random removal."""
    from engine.attribution.influence import influence as compute
    from engine.intervention.comparison import VERDICT_WORDS
    from engine.intervention.filtering import bottom_fraction
    from engine.intervention.retrain import Intervention, carry_out
    from engine.intervention.worker import work
    from engine.intervention.workspace import create_job, predicted
    from engine.learning.replay import check_mode
    from engine.store.read import open_run

    if (drop_bottom is None) == (drop_file is None):
        raise BadInputError("say which records to remove: either --drop-bottom P or --drop-file IDS")
    opened = open_run(run)
    snapshot = opened.snapshot(round)
    if drop_bottom is not None:
        drop = bottom_fraction(compute(snapshot).influence, drop_bottom).tolist()
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
    )
    snapshot.without(plan.removed)
    try:
        with progress() as report:
            if out is None:
                job, _ = create_job(opened, snapshot, plan, predicted(snapshot, plan))
                result = work(job.folder, report)
            else:
                result = carry_out(opened, plan, out, report)
    except KeyboardInterrupt:
        raise CancelledError("stopped; no branch was recorded") from None
    if as_json:
        print_json(result)
        return
    _print_arms(result)
    print(f"removed {len(result['removed'])} of {result['records']} records, {orders} minibatch orders, mode {mode}")
    print(f"{result['verdict']}: {VERDICT_WORDS[result['verdict']]}")
    if "recollected" in result:
        again = result["recollected"]
        print(f"\ntrained on for {continue_rounds} rounds with data collected anew, {seeds} seeds")
        _print_arms(again["evaluation"])
        print(f"{again['verdict']}: {VERDICT_WORDS[again['verdict']]}")


def _print_arms(compared: dict[str, Any]) -> None:
    print_table(
        ("arm", "mean return", "95 % interval", "episodes"),
        [
            (name, arm["mean"], f"{arm['low']:.4g} to {arm['high']:.4g}", arm["episodes"])
            for name in ("original", "counterfactual", "control")
            for arm in (compared[name],)
        ],
    )


@app.command()
def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder of the copy to make.")],
    rounds: Annotated[str, typer.Option(help="Rounds whose records to keep, such as 0-9,20,30-39.")],
) -> None:
    """Copy a run with the metrics of every round but the records of only some."""
    from engine.store.export import export_run

    copy = export_run(run, out, arguments.ranges(rounds))
    print(f"{copy.path}: {len(copy.rounds)} rounds, {len(copy.stored_rounds)} with records")


app.command()(validate)
app.command()(diagnose)
app.command()(reproduce)
app.command()(faithfulness)


def _summary(run: Any) -> dict[str, Any]:
    manifest = run.manifest.to_json()
    returns = [info.metrics.get("mean_return") for info in run.rounds]
    finished = [value for value in returns if value is not None]
    return {
        "run": str(run.path),
        **manifest,
        "committed_rounds": len(run.rounds),
        "finished": run.final is not None,
        "final_return": finished[-1] if finished else None,
    }


def main() -> None:
    """Run a command; errors that a user can cause end in one line on stderr and exit code 2."""
    try:
        code = app(arguments.spread(sys.argv[1:], "--arms"), standalone_mode=False)
    except EngineError as error:
        code = _fail(str(error), 130 if isinstance(error, CancelledError) else 2)
    except typer.Abort:
        code = 130
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        code = _fail(error.format_message().rstrip(".") + "; see python -m engine --help", 2)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()

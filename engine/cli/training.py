"""`python -m engine envs` and `train`: what can be trained, and training it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine import arguments
from engine.cli.options import Json
from engine.errors import BadInputError, CancelledError
from engine.terminal import print_json, print_table, progress


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
    from engine.core.training import rounds as train_rounds

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

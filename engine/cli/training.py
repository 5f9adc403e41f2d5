"""`python -m engine envs` and `train`: what can be trained, and training it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import arguments
from engine.allowed import allowed
from engine.cli.options import Json, folder
from engine.cli.remarks import note
from engine.errors import BadInputError, CancelledError, DamagedRunError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from engine.envs.names import Names


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
    out: Annotated[Path, typer.Option(help="Run folder to make, or its address (s3://BUCKET/RUN).", parser=folder)],
    env: Annotated[
        str | None,
        typer.Argument(
            metavar="ENV", help="Environment of the catalogue, or any id of Gymnasium's; left out where --make says it."
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds to train; by default the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seeds everything; by default 0.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Settings to start from, see `envs`; by default `tuned` where there is one, else `default`."),
    ] = None,
    record_filter: Annotated[
        str | None,
        typer.Option(
            "--filter",
            help="Train on a part of each round: iif, guarded, random, advantage, td_error; or on repaired records: reestimate, "
            "reestimate_guarded, reestimate_random.",
        ),
    ] = None,
    drop: Annotated[
        float | None, typer.Option(help="How much the filter drops or repairs, above 0 and at most 1.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting; repeat for more."),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help='Names of parts of observations and of actions: JSON with "observation", "action".'
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="every=N,last=M,around=A",
            help="Keep the records of every N-th round, the last M, and A before and after an incident; by default of all.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """Train PPO and record every round."""
    from engine import envs
    from engine.core.training import rounds as train_rounds
    from engine.environment_spec import ELSEWHERE
    from engine.store.buckets.mirror import called

    overrides: dict[str, Any] = dict(arguments.setting(text) for text in settings or [])
    overrides |= {
        name: value
        for name, value in (("seed", seed), ("rounds", rounds), ("filter", record_filter), ("drop", drop))
        if value is not None
    }
    config = envs.with_settings(_chosen(env), preset, overrides)
    if drop is not None and config.filter == "none":
        raise BadInputError("--drop says how much a filter drops; name one with --filter, such as --filter iif")
    given: dict[str, Any] = {} if names is None else {"names": _read_names(names)}
    kept = None if keep is None else arguments.keep(keep)
    said = False
    try:
        with progress() as report:
            for snapshot in train_rounds(config, out, resume=resume, keep=kept, **given):
                if not said and snapshot.environment is not None and snapshot.environment.repeats == "never":
                    note(f"{config.env_id} will not be played again: {ELSEWHERE}")
                said = True
                mean = snapshot.metrics["mean_return"]
                shown = "no episode ended" if mean is None else f"mean return {mean:.2f}"
                report(f"round {snapshot.round}: {shown}", snapshot.round + 1, config.rounds)
            report("finished", config.rounds, config.rounds)
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; the committed rounds are in {called(out)}. Continue with the same command and --resume"
        ) from None


def _chosen(env: str | None) -> str:
    """The environment to train: the one that a person named, or what their function makes.

    Raises:
        BadInputError: neither is named, or they are two environments.
    """
    from engine.envs import named_by_make

    made = named_by_make()
    if env is not None and (made is None or env in (made.name, allowed().make)):
        return env
    if made is None:
        raise BadInputError(
            "say what to train: an environment, or a function that makes one with --make package:function"
        )
    if env is not None:
        raise BadInputError(f"--make {allowed().make} makes {made.name}, not {env}; leave {env} out, or --make")
    return made.name


def _read_names(file: Path) -> Names:
    """What `--names` says.

    Raises:
        BadInputError: the file can't be read, or is something else.
    """
    from engine.envs.names import names_from
    from engine.store.strict_json import parse_json

    try:
        return names_from(parse_json(file.read_bytes(), str(file)))
    except OSError as error:
        raise BadInputError(f"--names {file} can't be read ({error.strerror}); name a file of JSON") from None
    except DamagedRunError as error:
        raise BadInputError(f"--names {error}") from None

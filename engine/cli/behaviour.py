"""`python -m engine behaviour`: how the agent came to do this here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import arguments
from engine.cli.options import Action, Json, Observation, RunFolder
from engine.errors import BadInputError, CancelledError
from engine.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from engine.analysis.behaviour import Behaviour
    from engine.core.targets.of_records import ActionTarget
    from engine.store.read import Run


def behaviour(
    run: RunFolder,
    record: Annotated[
        str | None, typer.Option(help="Round and record whose state and action it is about, such as 12:345.")
    ] = None,
    obs: Observation = None,
    action: Action = None,
    estimator: Annotated[str, typer.Option(help="Of the influence; see `influence`.")] = "first_order",
    as_json: Json = False,
) -> None:
    """Follow one state and action through training: probability, the records behind it, roughness, phases."""
    from engine.analysis.behaviour import behaviour as follow
    from engine.store.read import open_run

    opened = open_run(run, indexed=True)
    target = _target(opened, record, obs, action)
    try:
        with progress() as report:
            found = follow(opened, target, estimator, report=report)
    except KeyboardInterrupt:
        raise CancelledError(
            f"stopped; the rounds so far are kept in {run / 'derived'}, continue with the same command"
        ) from None
    if as_json:
        print_json({"run": str(run), "record": record, **found.to_json()})
    else:
        _print(found, run)


def _target(run: Run, record: str | None, obs: str | None, action: str | None) -> ActionTarget:
    """The one state and action that the options name."""
    from engine.core.targets.of_records import action_target, typed_target
    from engine.kinds.control.control_only import check_control

    check_control(run)
    spaces = run.manifest.observation_space, run.manifest.action_space
    typed = None if action is None else arguments.action(action, spaces[1])
    if (record is None) == (obs is None):
        raise BadInputError(
            "a behaviour needs either --record, such as 12:345, or --obs with the numbers of a state and --action"
        )
    if obs is not None:
        return typed_target(*spaces, arguments.numbers(obs, "--obs"), typed)
    number, i = arguments.round_and_record(record or "")
    return action_target(run.snapshot(number), record=i, action=typed)


def _print(found: Behaviour, run: Path) -> None:
    """A line a round, and the phases in words."""
    probability = found.probability
    of = {} if probability is None else dict(zip(found.checkpoints, probability.tolist(), strict=True))
    print(f"{found.target.called.sentence() if found.target.called else 'one state and action'}, {run}")
    print_table(
        ("round", "π(a|s)", "mean |I|", "roughness", "shuffled", "same action", "similar state", "advantage > 0"),
        [
            (
                item.round,
                of.get(item.round),
                item.magnitude,
                item.roughness,
                item.shuffled,
                *(_against(item.top[name], item.every[name]) for name in item.every),
            )
            for item in found.formation
        ],
    )
    print(f"shares: of the top records by {found.estimator} influence / of all records of the round\n")
    for phase, finding in found.phases.findings.items():
        print(f"{phase}: {finding}")
    for note in (*found.phases.remarks, *found.notes):
        print(f"note: {note}")


def _against(top: float | None, every: float) -> str:
    return f"{'-' if top is None else format(top, '.0%')} / {every:.0%}"

"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import arguments

if TYPE_CHECKING:
    from engine.attribution.targets import Target
    from engine.store.snapshot import Snapshot

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Round = Annotated[int, typer.Option(help="Round number, from 0.")]
TargetOption = Annotated[str, typer.Option("--target", help="return or action.")]
OfRound = Annotated[
    int | None,
    typer.Option("--of-round", help="Return target: over the buffer of this round; by default the round's own."),
]
Records = Annotated[
    list[int] | None,
    typer.Option(
        "--record", help="Action target: the record whose s and a it is about; repeat for the mean of several."
    ),
]
Observation = Annotated[
    str | None, typer.Option("--obs", help="Action target: a state, its numbers separated by commas.")
]
Action = Annotated[str | None, typer.Option("--action", help="Action target: the action, by name, number or numbers.")]


def chosen_target(
    snapshot: Snapshot,
    target: str,
    *,
    of_round: int | None = None,
    record: list[int] | None = None,
    obs: str | None = None,
    action: str | None = None,
) -> Target:
    """The target that the options name.

    Raises:
        BadInputError: they don't go together, or name something that is not there.
    """
    from engine.attribution.naming import TargetName
    from engine.attribution.targets import named_target

    name = TargetName(
        target=target,
        of_round=of_round,
        about=tuple(record or ()),
        observation=() if obs is None else tuple(arguments.numbers(obs, "--obs")),
        action=() if action is None else tuple(arguments.action(action, snapshot.action_space)),
    )
    return named_target(snapshot, name)

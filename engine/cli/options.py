"""The options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import arguments

if TYPE_CHECKING:
    from engine.core.targets import Target
    from engine.kinds.language.sequences import LanguageSnapshot
    from engine.kinds.language.targets import TokenTarget
    from engine.store.snapshot import Snapshot

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Round = Annotated[int, typer.Option(help="Round number, from 0.")]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target", help="return (by default) or action; of a language model sequence (by default), return or action."
    ),
]
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
Tokens = Annotated[
    str | None,
    typer.Option(
        "--tokens",
        metavar="FIRST:LAST",
        help="Action target of a language model: which tokens of the record, counted from its prompt's first; by default the "
        "whole response.",
    ),
]
Observation = Annotated[
    str | None,
    typer.Option(
        "--obs", help="Action target: a state, its numbers separated by commas; normalised, where the run normalises."
    ),
]
Action = Annotated[str | None, typer.Option("--action", help="Action target: the action, by name, number or numbers.")]
Base = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Folder of the base model of a run that trained adapters (LoRA)."),
]
Download = Annotated[
    bool,
    typer.Option("--download", help="Language models: look for what is not here in the hub's cache and on the hub."),
]


def chosen_target(
    snapshot: Snapshot,
    target: str | None,
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
    from engine.core.kind import named_target
    from engine.core.question import TargetName

    name = TargetName(
        target=target or "return",
        of_round=of_round,
        about=tuple(record or ()),
        observation=() if obs is None else tuple(arguments.numbers(obs, "--obs")),
        action=() if action is None else tuple(arguments.action(action, snapshot.action_space)),
    )
    return named_target(snapshot, name)


def check_no_tokens(tokens: str | None) -> None:
    """Refuse what only language models have.

    Raises:
        BadInputError: tokens are given.
    """
    from engine.errors import BadInputError

    if tokens is not None:
        raise BadInputError("--tokens is for the runs of language models; a record of this run has none")


def chosen_sequence_target(
    snapshot: LanguageSnapshot,
    target: str | None,
    *,
    record: list[int] | None,
    tokens: str | None,
    others: Mapping[str, object],
) -> TokenTarget:
    """The target of a language model that the options name.

    Args:
        snapshot: round k.
        target: its name.
        record: one at most.
        tokens: `FIRST:LAST`, or the number of one token.
        others: options that only control tasks have.

    Raises:
        BadInputError: they don't go together, or name something that is not there.
    """
    from engine.errors import BadInputError
    from engine.kinds.language.targets import language_target

    for name, given in others.items():
        if given is not None:
            raise BadInputError(f"{name} is not for language models; their action target takes --record and --tokens")
    if record is not None and len(record) > 1:
        raise BadInputError("an action target of a language model is about one record; give --record once")
    first = last = None
    if tokens is not None:
        found = re.fullmatch(r"(\d+)(?::(\d+))?", tokens)
        if found is None:
            raise BadInputError(f"--tokens is {tokens!r}; it must be FIRST:LAST, such as 5:7, or one number")
        first, last = int(found[1]), int(found[2] or found[1])
    number = record[0] if record else None
    return language_target(snapshot, target or "sequence", record=number, first=first, last=last)

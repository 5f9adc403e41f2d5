"""The options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import arguments
from engine.allowed import allow
from engine.errors import BadInputError

if TYPE_CHECKING:
    from engine.core.targets.functions import Target
    from engine.store.snapshot import Snapshot


def folder(text: str) -> Path:
    """A folder on this machine, or the one that stands for an address on an object store.

    Raises:
        typer.BadParameter: it looks like an address and is none.
    """
    if not text.startswith(("s3:/", "gs:/")):
        return Path(text)
    from engine.store.buckets.mirror import local_folder  # with pyarrow, which `--help` does without

    try:
        return local_folder(text)
    except BadInputError as error:
        raise typer.BadParameter(str(error)) from None


RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, or its address (s3://BUCKET/RUN).", parser=folder)
]
RunsFolder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="Folder with runs in it, or its address (s3://BUCKET/RUNS).", parser=folder),
]
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
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where tasks are done: inline (in this process), processes, or ray (the cluster that RAY_ADDRESS names).",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", help="Tasks at a time; by default one a core.")]
ALLOWING: dict[str, tuple[Any, Any]] = {
    "base": (
        Annotated[
            Path | None,
            typer.Option(metavar="PATH", help="Folder of the base model of a run that trained adapters (LoRA)."),
        ],
        None,
    ),
    "download": (
        Annotated[
            bool,
            typer.Option(
                "--download", help="Language models: look for what is not here in the hub's cache and on the hub."
            ),
        ],
        False,
    ),
    "imports": (
        Annotated[
            list[str] | None,
            typer.Option("--import", metavar="PKG", help="Import a module that makes environments known; repeatable."),
        ],
        None,
    ),
    "make": (
        Annotated[
            str,
            typer.Option(metavar="PKG:FUNCTION", help="The function that returns the environment, wrappers and all."),
        ],
        "",
    ),
    "packages": (
        Annotated[
            list[str] | None,
            typer.Option("--allow", metavar="PKG", help="A package of classes that policies are made of; repeatable."),
        ],
        None,
    ),
}
"""What a person may allow with every command: the parameters of `engine.allow` -> type and default."""


def with_allowing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with options for all that `engine.allow` takes, which count before it begins."""
    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in ALLOWING.items()
    ]

    @wraps(command)
    def allowing(**given: Any) -> Any:
        said = {name: given.pop(name) for name in ALLOWING}
        allow(said.pop("base"), **{name: value for name, value in said.items() if value is not None})
        return command(**given)

    parameters = [*signature.parameters.values(), *added]
    allowing.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return allowing


def chosen_target(
    snapshot: Snapshot,
    target: str | None,
    *,
    of_round: int | None = None,
    record: list[int] | None = None,
    obs: str | None = None,
    action: str | None = None,
    tokens: str | None = None,
) -> Target:
    """The target that the options name.

    Raises:
        BadInputError: they don't go together, don't fit the kind of run, or name something that is not there.
    """
    from engine.core.chosen_targets import named_target
    from engine.core.kind import kind_of
    from engine.core.targets.question import TargetName

    kind = kind_of(snapshot)
    name = TargetName(
        target=target or kind.default_target,
        of_round=of_round,
        about=tuple(record or ()),
        observation=() if obs is None else tuple(arguments.numbers(obs, "--obs")),
        action=() if action is None else tuple(kind.typed_action(snapshot, action)),
        tokens=() if tokens is None else arguments.span(tokens, "--tokens"),
    )
    found: Target = named_target(snapshot, name)
    return found

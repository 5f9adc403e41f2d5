"""`python -m engine export` and `import`: runs on their way, to somebody and from somebody."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from engine import arguments
from engine.cli.options import Json, RunFolder, folder
from engine.errors import BadInputError
from engine.terminal import print_json, progress


def export(
    run: RunFolder,
    out: Annotated[Path | None, typer.Option(help="Folder of the copy to make, or its address.")] = None,
    archive: Annotated[Path | None, typer.Option(metavar="FILE", help="Or one file for all of it, a tar.")] = None,
    rounds: Annotated[
        str | None, typer.Option(help="Rounds whose records to keep, such as 0-9,20,30-39; by default all.")
    ] = None,
) -> None:
    """Copy a run with the metrics of every round but the records of only some, or put it into one file to be sent away."""
    from engine.store.files import Files
    from engine.store.read import open_run
    from engine.store.transfer.archive import archive_run
    from engine.store.transfer.export import export_run

    if (out is None) == (archive is None):
        raise BadInputError("say where to: --out DIR for a folder, or --archive FILE for one file")
    chosen = None if rounds is None else arguments.ranges(rounds)
    if out is not None:
        copy = export_run(run, out, open_run(run, indexed=True).stored_rounds if chosen is None else chosen)
    elif archive is not None and chosen is None:
        copy = archive_run(run, archive)
    elif archive is not None:
        Files().make_folder(archive.parent)
        with TemporaryDirectory(dir=archive.parent, prefix=".export-") as beside:
            copy = archive_run(export_run(run, Path(beside) / run.resolve().name, chosen or ()).path, archive)
    print(f"{out or archive}: {len(copy.rounds)} rounds, {len(copy.stored_rounds)} with records")


def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_ARCHIVE", help="A run's folder or address, or an archive of one.", parser=folder
        ),
    ],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder of runs to put it into.")],
    name: Annotated[str, typer.Option(help="Of its folder there; by default the one that it has.")] = "",
    memory: Annotated[float, typer.Option(metavar="GIB", help="Memory that reading it may take.")] = 4.0,
    seconds: Annotated[float, typer.Option(help="Time that it may take.")] = 600.0,
    disk: Annotated[float, typer.Option(metavar="GIB", help="What it may write.")] = 20.0,
    as_json: Json = False,
) -> None:
    """Take over somebody else's run: nothing in it is executed, all of it is checked, and it is written anew."""
    from engine.jobs.import_limits import Limits
    from engine.jobs.receive import receive

    with progress(quiet=as_json) as report:
        found = receive(source, into, name, Limits(memory, seconds, disk), report)
    if as_json:
        summary = {"run": str(found.run.path), "rounds": len(found.run.rounds), "stored": len(found.run.stored_rounds)}
        print_json(summary | {"sets": found.sets, "left_out": dict(found.left_out)})
    else:
        print(found.sentence)


import_.__name__ = "import"  # the command; no function of Python can have this name

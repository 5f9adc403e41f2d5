"""A run written anew from what was read of it, so that nothing of the original's bytes is left that was not understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from engine.errors import DamagedRunError
from engine.store.commit import RunWriter, round_tables
from engine.store.files import Files
from engine.store.read import Run, open_run
from engine.store.strict_json import parse_json
from engine.store.tables import checkpoint_table


def rewrite_run(
    run: Run, out: str | Path, files: Files | None = None, report: Callable[[int, int], None] | None = None
) -> Run:
    """Read all of a run and write it anew: values become tables again, tables files, and the commits a chain of their own.

    What the run has dropped stays dropped, and is told of as it was.

    Args:
        run: the run, of anybody's making.
        out: the new run's folder.
        files: file operations.
        report: told commits done and in all, before each.

    Returns:
        The new run.

    Raises:
        BadInputError: `out` holds a run already, or the run is of a kind that is not known here.
        DamagedRunError: the run is damaged.
        StorageError: the disk refused.
    """
    model = {name: _model_file(name, data) for name, data in run.model_files().items()}
    manifest = replace(run.manifest, model={name: sha256(data).hexdigest() for name, data in model.items()})
    with RunWriter.create(out, manifest, files, model=model) as writer:
        for done, commit in enumerate(run.commits):
            if report is not None:
                report(done, len(run.commits))
            if run.kept.has_records(commit.round):
                tables = round_tables(run.snapshot(commit.round), manifest)
            elif run.kept.file(commit.round, "checkpoint"):
                tables = {"checkpoint": checkpoint_table(run.checkpoint(commit.round))}
            else:
                tables = {}
            writer.commit_copy(commit, tables)
    return open_run(out, files)


def _model_file(name: str, data: bytes) -> bytes:
    """A file that describes a language model: JSON anew, anything else as it is."""
    if not name.endswith(".json"):
        return data
    values = parse_json(data, f"model/{name}")
    try:
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except ValueError as error:
        raise DamagedRunError(f"model/{name} is damaged: it holds what JSON does not have ({error})") from None

"""The runs that are here, as lists show them: what the index says of each, and what people said of it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.shell import loaders
from app.shell.cached import cached
from app.shell.page import in_one_line
from engine.analysis.run_index import RowReader, RunIndex, RunRow, stamp
from engine.errors import EngineError
from engine.store.find import INTERVENTION
from engine.store.run_notes import RunNotes, run_notes_or_why

ByFolder = Mapping[Path, Mapping[Path, str]]
"""Folder of runs -> folder of a run -> its id."""


@dataclass(frozen=True)
class Listed:
    """One run."""

    name: str
    """Its id, see `loaders.run_paths`."""
    path: Path
    folder: Path
    """Of runs, in which it was found."""
    row: RunRow | None
    """None where it was not read yet, or can't be."""
    problem: str
    """Why it can't be read; empty where it can."""
    notes: RunNotes
    damaged_notes: str
    """Why its notes can't be read; empty where they can."""

    @property
    def is_branch(self) -> bool:
        """Whether it goes on from another run."""
        return self.row.parent is not None if self.row else "interventions" in self.path.relative_to(self.folder).parts

    @property
    def title(self) -> str:
        """What it is called on a page."""
        return self.notes.name or self.name


def listed(here: ByFolder, seconds: float = math.inf) -> tuple[list[Listed], int]:
    """Every run that is here, and how many of them are still to be read.

    Args:
        here: from `loaders.runs_by_folder`.
        seconds: how long to read runs of which the index does not know enough, the newest first.
    """
    found, left = [], 0
    for folder, names in here.items():
        index = _index(folder)
        index.look(names)
        if index.missing:
            index.advance(seconds)
        left += len(index.missing)
        for path, name in names.items():
            notes, why = run_notes_or_why(path, folder)
            row, problem = index.rows.get(path), index.problems.get(path, "")
            found.append(Listed(name, path, folder, row, problem, notes, why))
    return found, left


def read_some(seconds: float) -> int:
    """Read runs of which the index does not know enough for that long; how many are left then."""
    left = 0
    for folder in loaders.run_folders():
        index = _index(folder)
        if index.missing:
            index.advance(seconds)
        left += len(index.missing)
    return left


def fingerprint(here: ByFolder) -> list[tuple[str, ...]]:
    """What changes whenever a run comes, grows or goes, or somebody says something else of it; nothing is read.

    Args:
        here: from `loaders.runs_by_folder`.
    """
    return [
        (name, stamp(path), _stamp_of_notes(path), folder_stamp)
        for folder, names in here.items()
        for folder_stamp in (_stamp_of_notes(folder),)
        for path, name in names.items()
    ]


def interventions(path: Path) -> int:
    """How many removals of records there are in a run's folder."""
    try:
        return sum(INTERVENTION.fullmatch(name) is not None for name in os.listdir(path / "interventions"))  # noqa: PTH208
    except OSError:
        return 0


def _stamp_of_notes(place: Path) -> str:
    """When somebody last said something of a run, or of one in a folder of runs."""
    try:
        return str(os.lstat(f"{place}/notes").st_mtime_ns)
    except OSError:
        return ""


@cached(max_entries=16)
def _index(folder: Path) -> RunIndex:
    reader = RowReader()

    def read(path: Path) -> RunRow:
        try:
            return reader(path)
        except Exception as error:
            raise EngineError(in_one_line(error)) from error

    return RunIndex(folder, read)

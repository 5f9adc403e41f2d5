"""Find runs by looking at names only."""

from __future__ import annotations

import os
from pathlib import Path

DEPTH = 8
"""Folders below the one that was asked for."""

_INSIDE_A_RUN = frozenset(("data", "commits", "derived"))


def find_runs(directory: str | Path) -> list[Path]:
    """The folders that hold a `run.json`; see `find_folders`."""
    return find_folders(directory, "run.json")


def find_folders(directory: str | Path, file: str) -> list[Path]:
    """The folders that hold a file of that name: `directory` itself and what is up to eight folders below it, sorted.

    Links are not followed, hidden folders and those that can't be read are passed over; a missing folder has none.
    """
    top = Path(directory)
    found = []
    for folder, below, names in os.walk(top):
        here = Path(folder)
        if file in names:
            found.append(here)
        if "run.json" in names:
            below[:] = [name for name in below if name not in _INSIDE_A_RUN]
        below[:] = [name for name in below if not name.startswith(".")]
        if len(here.relative_to(top).parts) >= DEPTH:
            below.clear()
    return sorted(found)

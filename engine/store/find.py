"""Find runs by looking at names only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from engine.store.buckets.mirror import address_of, find_below, local_folder

DEPTH = 8
"""Folders below the one that was asked for."""

INTERVENTION = re.compile(r"[0-9a-f]{12}", re.ASCII)
"""Names of the folders of a run's interventions; any other is not there."""

_INSIDE_A_RUN = frozenset(("data", "commits", "derived"))


def find_runs(directory: str | Path) -> list[Path]:
    """The folders that hold a `run.json`, see `find_folders`; of an address on an object store, the copies of the runs there."""
    address = address_of(local_folder(directory))
    if address is None:
        return find_folders(directory, "run.json")
    copies = sorted(find_below(address), key=lambda path: path.parts)
    return [path for copy in copies for path in find_folders(copy, "run.json") or [copy]]  # and what was tried on each


def find_folders(directory: str | Path, file: str) -> list[Path]:
    """The folders that hold a file of that name: `directory` itself and what is up to eight folders below it, sorted.

    Links are not followed, hidden folders and those that can't be read are passed over; a missing folder has none. Among a
    run's interventions only folders named with twelve hexadecimal digits are there.
    """
    top = str(Path(directory))  # strings: with thousands of folders several times faster than paths
    found: list[str] = []
    runs: set[str] = set()
    begins = top.rstrip(os.sep).count(os.sep)
    for here, below, names in os.walk(top):
        above, _, name = here.rpartition(os.sep)
        if file in names:
            found.append(here)
        if "run.json" in names:
            below[:] = [folder for folder in below if folder not in _INSIDE_A_RUN]
            runs.add(here)
        elif name == "interventions" and above in runs:
            below[:] = [folder for folder in below if INTERVENTION.fullmatch(folder)]
        below[:] = [folder for folder in below if not folder.startswith(".")]
        if here.count(os.sep) - begins >= DEPTH:
            below.clear()
    return sorted(map(Path, found), key=lambda path: path.parts)

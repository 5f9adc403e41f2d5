"""Which files of a run were read and found sound, and have not changed since by what the file system says of them.

`verify --new` reads only the others. What is kept of a file is which one it is, how large, and when it changed last: a file that
was written since, or copied from elsewhere with all of `derived/`, is another one by that. A bit that turned over on the disk
without anybody writing it is not noticed so, but by a `verify` of everything.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from engine.store.buckets.mirror import address_of, local_folder
from engine.store.derived import kept_columns, load_table, save_table
from engine.store.files import Files

RACY_SECONDS = 2.0
"""A file that changed within that time before it was read is read again: a later change may have the same time."""
_KEY = sha256(b"files that were found sound").hexdigest()
_COLUMNS = ("file", "known")
_HASH = slice(16)
"""What is kept of a file's hash: enough to tell that it is the one that a commit names."""


class SoundFiles:
    """What is known of a run's files before it is verified, and what is found.

    Args:
        path: the run's folder.
        files: file operations.
        cache: read from and write to the run's `derived/`; otherwise nothing is known.
    """

    def __init__(self, path: str | Path, files: Files | None = None, *, cache: bool = True) -> None:
        self._path, self._files = local_folder(path), files or Files()
        self.cache = cache and address_of(self._path) is None  # a copy says nothing of what an object store has by now
        table = load_table(self._path, _KEY, self._files) if cache else None
        columns = None if table is None else kept_columns(table, dict.fromkeys(_COLUMNS, pa.string()))
        self._before: dict[str, str] = (
            {} if columns is None else dict(zip(*(columns[name].tolist() for name in _COLUMNS), strict=True))
        )
        self._now: dict[str, str] = {}
        self.passed_over = 0
        """Files that need not be read again."""

    def has(self, hashes: Mapping[str, str]) -> bool:
        """Whether all of these are as they were when they were found to have these hashes; they then count as passed over.

        Args:
            hashes: name, relative to the run -> sha256.
        """
        found = _joined(hashes, self.identities(hashes))
        if len(found) < len(hashes) or any(self._before.get(name) != said for name, said in found.items()):
            return False
        self._now |= found
        self.passed_over += len(found)
        return True

    def identities(self, names: Iterable[str]) -> dict[str, str]:
        """What tells whether a file changes from now on; to be asked for before it is read, and no answer where nothing does."""
        settled = time.time() - RACY_SECONDS
        found = {name: identity(f"{self._path}/{name}", settled) for name in names}
        return {name: said for name, said in found.items() if said}

    def add(self, hashes: Mapping[str, str], identities: Mapping[str, str]) -> None:
        """These were read and have these hashes; the identities are those from before."""
        self._now |= _joined(hashes, identities)

    def keep(self) -> None:
        """Write what is known now, in the place of what was known; a cache is never worth an error."""
        if self.cache and self._now != self._before:
            columns = pa.array([*self._now], pa.string()), pa.array([*self._now.values()], pa.string())
            save_table(self._path, _KEY, pa.table(dict(zip(_COLUMNS, columns, strict=True))), files=self._files)


def _joined(hashes: Mapping[str, str], identities: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{hashes[name][_HASH]} {said}" for name, said in identities.items()}


def identity(file: str, before: float = math.inf) -> str:
    """Which file it is, how large, and when it changed last, without reading it; `none` where there is none.

    Args:
        file: its path; a link is not followed.
        before: seconds since the epoch; empty where it changed later.
    """
    try:
        now = os.lstat(file)
    except OSError:
        return "none"
    if now.st_ctime > before:
        return ""
    return f"{now.st_ino}.{now.st_size}.{now.st_mtime_ns}.{now.st_ctime_ns}"

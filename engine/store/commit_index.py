"""What all commits of a long run say, in one file of its `derived/`: a run of 10,000 rounds opens without reading 10,000 files.

The index is a cache, and nothing in it is taken on trust. The bytes of every commit in it are hashed anew, each must follow the
one before it, the first one run.json, and the last one must be the commit that lies in `commits/`. What passes is what the
commits said; anything else is as if there were no index. That a file in `commits/` has changed since, `verify` finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from engine.errors import DamagedRunError, StorageError
from engine.store.chain import Commit
from engine.store.derived import load_table, save_table
from engine.store.files import Files
from engine.store.verified import broken_link, read_commit

WORTH = 256
"""Commits that are read one by one rather than indexed: reading them takes some tens of milliseconds."""
_KEY = sha256(b"what the commits say").hexdigest()
_COLUMN = "commit"


def load_commits(path: Path, numbers: Sequence[int], root: str, files: Files) -> dict[int, Commit]:
    """Number -> commit, of the first commits of a run; empty where the index is missing, damaged or of another run.

    Args:
        path: the run's folder.
        numbers: of the commits that are there, in order.
        root: sha256 of run.json.
        files: file operations.
    """
    table = load_table(path, _KEY, files)
    if table is None or table.column_names != [_COLUMN] or table[_COLUMN].type != pa.binary():
        return {}
    try:
        commits = _chained(table[_COLUMN].to_pylist(), root)
        found = {commit.round: commit for commit in commits}
        if not commits or [*found] != [*numbers[: len(found)]]:
            return {}
        last = commits[-1]
        return found if read_commit(path, last.round, files).hash == last.hash else {}
    except (DamagedRunError, StorageError):
        return {}


def save_commits(path: Path, commits: Mapping[int, Commit], files: Files) -> bool:
    """Put these commits, all of a run and in order, in the place of the index; whether it could be written."""
    column = pa.array([commit.said for commit in commits.values()], pa.binary())
    return save_table(path, _KEY, pa.table({_COLUMN: column}), files=files)


def _chained(said: Sequence[bytes | None], root: str) -> list[Commit]:
    """The commits that said this, each of which follows the one before it.

    Raises:
        DamagedRunError: one does not.
    """
    commits: list[Commit] = []
    for each in said:
        commit = Commit.from_said(each or b"")
        problem = broken_link(commits[-1] if commits else None, commit, root)
        if problem:
            raise DamagedRunError(problem)
        commits.append(commit)
    return commits

"""A cache of tables beside a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInputError, DamagedRunError, LockedRunError, StorageError
from engine.store.files import Files, inside
from engine.store.parquet import from_parquet, to_parquet

LOCK_SECONDS = 10.0
"""How long another process is waited for that changes the same cache."""
LARGEST_CACHE = 2**30
"""Bytes of one table at most."""
SWEPT_SECONDS = 3600.0
"""So old is a file that a killed process left, rather than one that is being written beside us."""

_KEY = re.compile(r"[0-9a-f]{1,64}", re.ASCII)


def load_table(run_path: str | Path, key: str, files: Files | None = None) -> pa.Table | None:
    """A table that `save_table` kept, or None where there is none or its bytes changed.

    Args:
        run_path: the run's folder.
        key: hexadecimal.
        files: file operations.
    """
    files = files or Files()
    for name in _kept(run_path, key, files):
        try:
            data = files.read(inside(Path(run_path), "derived", name), limit=LARGEST_CACHE)
            if name == _name(key, data):
                return from_parquet(data, f"derived/{name}")
        except (DamagedRunError, StorageError, FileNotFoundError):
            continue
    return None


def kept_columns(table: pa.Table, types: Mapping[str, pa.DataType]) -> dict[str, NDArray[Any]] | None:
    """The columns of a kept table as new arrays; None where it has others, so that what is kept is computed anew.

    A cache may have been received with a run, so nothing is taken for granted: a column must be there once, of its type
    and without nulls.

    Args:
        table: from `load_table`.
        types: name -> type of each column.
    """
    for name, kind in types.items():
        if table.column_names.count(name) != 1 or table[name].type != kind or table[name].null_count:
            return None
    try:
        return {name: table[name].to_numpy().copy() for name in types}
    except (UnicodeDecodeError, pa.ArrowException):
        return None


def save_table(
    run_path: str | Path,
    key: str,
    table: pa.Table,
    metadata: Mapping[str, str] | None = None,
    files: Files | None = None,
) -> bool:
    """Keep a table under `<run>/derived/` in the place of the one that had this key.

    A cache is never worth an error: where the folder can't be written (read-only, full disk) nothing is kept.

    Args:
        run_path: the run's folder.
        key: hexadecimal.
        table: what to keep.
        metadata: kept as the schema's metadata, which `load_table` gives back as bytes.
        files: file operations.

    Returns:
        Whether it was kept.
    """
    files = files or Files()
    data = to_parquet(table.replace_schema_metadata(dict(metadata or {})))
    name = _name(_checked(key), data)
    try:
        folder = inside(Path(run_path), "derived")
        files.make_folder(folder)
        files.sweep(folder, older_than=SWEPT_SECONDS)
        files.replace(folder / name, data, durable=False)
        for other in _kept(run_path, key, files):
            if other != name:
                files.remove(folder / other)
    except (StorageError, DamagedRunError, OSError):
        return False
    return True


def update_table(
    run_path: str | Path,
    key: str,
    change: Callable[[pa.Table | None], pa.Table],
    metadata: Mapping[str, str] | None = None,
    files: Files | None = None,
) -> bool:
    """`save_table` of what `change` makes of the table that is kept, while no other process does the same.

    Args:
        run_path: the run's folder.
        key: hexadecimal.
        change: from the table that is there, or None, to the one in its place.
        metadata: as `save_table`.
        files: file operations.

    Returns:
        Whether it was kept: not where the folder can't be written, or stays locked.
    """
    files = files or Files()
    try:
        folder = inside(Path(run_path), "derived")
        files.make_folder(folder)
        lock = files.lock(folder / "lock", wait=LOCK_SECONDS)
    except (LockedRunError, StorageError, DamagedRunError, OSError):
        return False
    try:
        return save_table(run_path, key, change(load_table(run_path, key, files)), metadata, files)
    finally:
        files.unlock(lock)


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise BadInputError(f"the cache key {key!r} can't be used; it must be hexadecimal")
    return key


def _name(key: str, data: bytes) -> str:
    """The name carries the content's hash, so that a changed byte makes the file worthless."""
    return f"{key}-{sha256(data).hexdigest()[:32]}.parquet"


def _kept(run_path: str | Path, key: str, files: Files) -> list[str]:
    """Names of the files that have the key, a dash after it."""
    start = f"{_checked(key)}-"
    try:
        return [name for name in files.names(inside(Path(run_path), "derived")) if name.startswith(start)]
    except (FileNotFoundError, StorageError, DamagedRunError):
        return []

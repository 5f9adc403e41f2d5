"""A cache of tables beside a run, and small JSON files that are replaced as a whole."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.errors import BadInputError, DamagedRunError, LockedRunError, StorageError
from engine.store.files import Files
from engine.store.parquet import from_parquet, to_parquet

LOCK_SECONDS = 10.0
"""So long another process is waited for that changes the same cache."""

_KEY = re.compile(r"[0-9a-f]{1,64}", re.ASCII)


def load_table(run_path: str | Path, key: str, files: Files | None = None) -> pa.Table | None:
    """A table that `save_table` kept, or None where there is none or its bytes changed.

    Args:
        run_path: the run's folder.
        key: hexadecimal.
        files: file operations.
    """
    folder, files = _folder(run_path, key), files or Files()
    for name in _kept(folder, key, files):
        try:
            data = files.read(folder / name)
            if name == _name(key, data):
                return from_parquet(data, f"derived/{name}")
        except (DamagedRunError, StorageError, FileNotFoundError):
            continue
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
    folder, files = _folder(run_path, key), files or Files()
    data = to_parquet(table.replace_schema_metadata(dict(metadata or {})))
    name = _name(key, data)
    try:
        files.make_folder(folder)
        files.replace(folder / name, data)
        for other in _kept(folder, key, files):
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
    folder, files = _folder(run_path, key), files or Files()
    try:
        files.make_folder(folder)
        lock = _lock(folder / "lock", files)
    except (LockedRunError, StorageError, DamagedRunError, OSError):
        return False
    try:
        return save_table(run_path, key, change(load_table(run_path, key, files)), metadata, files)
    finally:
        files.unlock(lock)


def _lock(path: Path, files: Files) -> int:
    """Take a lock that others hold for moments only."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return files.lock(path)
        except LockedRunError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def write_json(path: str | Path, obj: Any, files: Files | None = None) -> None:
    """Replace a small JSON file as a whole; a reader sees the old content or the new one.

    Raises:
        StorageError: the disk refused.
    """
    (files or Files()).replace(Path(path), (json.dumps(obj, indent=1) + "\n").encode())


def read_json(path: str | Path, files: Files | None = None) -> Any | None:
    """The content of a JSON file, or None where there is none that can be read."""
    try:
        return json.loads((files or Files()).read(Path(path)))
    except (OSError, DamagedRunError, StorageError, ValueError, RecursionError):
        return None


def _folder(run_path: str | Path, key: str) -> Path:
    if not _KEY.fullmatch(key):
        raise BadInputError(f"the cache key {key!r} can't be used; it must be hexadecimal")
    return Path(run_path) / "derived"


def _name(key: str, data: bytes) -> str:
    """The name carries the content's hash, so that a changed byte makes the file worthless."""
    return f"{key}-{sha256(data).hexdigest()[:32]}.parquet"


def _kept(folder: Path, key: str, files: Files) -> list[str]:
    try:
        return [name for name in files.names(folder) if name.startswith(f"{key}-")]
    except (FileNotFoundError, StorageError, DamagedRunError):
        return []

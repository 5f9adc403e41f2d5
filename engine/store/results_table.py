"""Tables of results that people keep, such as a campaign's rows: Parquet with a checksum of its content.

The checksum is in the schema's metadata, as `sha256`. Tables that earlier versions wrote have none; they are read, and nobody
can tell whether they changed.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from engine.errors import DamagedRunError, TooLargeError
from engine.store.documents import SEAL
from engine.store.files import Files
from engine.store.parquet import from_parquet, to_parquet

LARGEST_RESULTS = 2**30
"""Bytes of such a file at most."""


def write_results(path: Path, table: pa.Table, files: Files | None = None) -> None:
    """Put a table in the place of the one that was there, durably.

    Raises:
        StorageError: the disk refused.
    """
    said = {key: value for key, value in (table.schema.metadata or {}).items() if key != SEAL.encode()}
    sealed = table.replace_schema_metadata({**said, SEAL: _digest(table)})
    (files or Files()).replace(path, to_parquet(sealed))


def read_results_table(path: Path, files: Files | None = None) -> tuple[pa.Table, bool]:
    """A table, and whether it has a checksum, which fits.

    Raises:
        FileNotFoundError: there is none.
        DamagedRunError: its content is not what was written.
        TooLargeError: it is larger than `LARGEST_RESULTS`, or decodes to more than any file may.
    """
    name = f"{path.parent.name}/{path.name}"
    data = (files or Files()).read(path, limit=LARGEST_RESULTS + 1)
    if len(data) > LARGEST_RESULTS:
        raise TooLargeError(f"{name} is too large: a table of results has at most {LARGEST_RESULTS // 2**20} MiB")
    table = from_parquet(data, name)
    said = (table.schema.metadata or {}).get(SEAL.encode())
    try:
        fits = said is None or said.decode() == _digest(table)
    except ValueError:  # a text in it is none
        fits = False
    if not fits:
        raise DamagedRunError(f"{name} is damaged: its sha256 is not that of its content")
    return table, said is not None


def _digest(table: pa.Table) -> str:
    """sha256 of names, types and values, whatever their encoding on disk."""
    columns = [[field.name, str(field.type), table.column(i).to_pylist()] for i, field in enumerate(table.schema)]
    return sha256(json.dumps(columns, default=str).encode()).hexdigest()

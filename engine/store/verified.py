"""The files of a run, each read once and verified against what names it, before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from engine.errors import DamagedRunError, TooLargeError
from engine.store.chain import LARGEST_COMMIT, Commit, DataFile, commit_name, commit_number
from engine.store.files import Files, inside
from engine.store.parquet import from_parquet

MODEL_FILE_BYTES = 64 * 2**20
"""Of each file that describes a language model; the largest tokenizers take half of it."""


def commit_numbers(path: Path, files: Files) -> list[int]:
    """The numbers of the commits, in order.

    A listing beside a writer may show a commit and miss the one before it, so the second listing
    counts, up to the last of the first.
    """
    listings = []
    for _ in range(2):
        try:
            listings.append(files.names(inside(path, "commits")))
        except FileNotFoundError:
            raise DamagedRunError(f"{path} is damaged: its folder commits is missing") from None
    first, second = listings
    numbers = _numbers(second)
    last = max(numbers if first == second else _numbers(first), default=-1)
    return [number for number in numbers if number <= last]


def _numbers(names: Iterable[str]) -> list[int]:
    """Of the commits among the names, in order."""
    return sorted(number for name in names if (number := commit_number(name)) is not None)


def read_commit(path: Path, number: int, files: Files) -> Commit:
    """One commit, its own hash verified.

    Raises:
        DamagedRunError: its bytes are not those that were written.
    """
    name = commit_name(number)
    try:
        data = files.read(inside(path, "commits", name), limit=LARGEST_COMMIT + 1)
    except FileNotFoundError:
        raise DamagedRunError(f"commits/{name} is missing") from None
    _check_length(data, f"commits/{name}")
    return Commit.from_bytes(data, name)


def read_manifest(path: Path, files: Files) -> bytes:
    """The bytes of run.json.

    Raises:
        FileNotFoundError: there is none.
        TooLargeError: it is larger than `chain.LARGEST_COMMIT`.
    """
    data = files.read(path / "run.json", limit=LARGEST_COMMIT + 1)
    _check_length(data, "run.json")
    return data


def _check_length(data: bytes, file: str) -> None:
    if len(data) > LARGEST_COMMIT:
        raise TooLargeError(f"{file} is too large: it has at most {LARGEST_COMMIT // 2**20} MiB")


def broken_link(before: Commit | None, commit: Commit, root: str) -> str | None:
    """What is wrong between a commit and the one before it (None: the first one), or None.

    Args:
        before: the commit before; None for the first one, which is chained to run.json.
        commit: the commit.
        root: sha256 of run.json.
    """
    if before is None:
        return (
            None if commit.previous == root else f"run.json is not what {commit.name} follows (or a commit is missing)"
        )
    if commit.round != before.round + 1:
        return f"commits/{commit_name(before.round + 1)} is missing"
    if before.final:
        return f"{commit.name} comes after the final checkpoint"
    return None if commit.previous == before.hash else f"{commit.name} does not follow {before.name}"


def read_table(path: Path, file: DataFile, files: Files, most_rows: int | None = None) -> pa.Table:
    """One data file, read once, verified against its commit and decoded from memory.

    Args:
        path: the run's folder.
        file: what its commit says of it.
        files: file operations.
        most_rows: see `RunManifest.most_rows`.

    Raises:
        TooLargeError: it has more rows than the run's settings make, or decodes to more than any file may.
        DamagedRunError: it is missing, or its bytes are not those that were committed.
    """
    name = f"data/{file.name}"
    if most_rows is not None and file.rows > most_rows:
        raise TooLargeError(f"{name} is too large: it has {file.rows} rows, and the run's settings make {most_rows}")
    return from_parquet(read_data(path, file, files), name, file.rows)


def read_data(path: Path, file: DataFile, files: Files) -> bytes:
    """The bytes of one data file, verified against its commit.

    Raises:
        DamagedRunError: it is missing, or its bytes are not those that were committed.
    """
    name = f"data/{file.name}"
    try:
        data = files.read(inside(path, "data", file.name), limit=file.bytes + 1)
    except FileNotFoundError:
        raise DamagedRunError(f"{name} is missing") from None
    if len(data) != file.bytes:
        size = "more" if len(data) > file.bytes else f"only {len(data)}"
        raise DamagedRunError(f"{name} is damaged: it has {size} of the {file.bytes} bytes that were committed")
    if sha256(data).hexdigest() != file.sha256:
        raise DamagedRunError(f"{name} is damaged: its sha256 is not the committed one")
    return data


def model_file(path: Path, name: str, digest: str, files: Files) -> bytes:
    """One file of a language model's description, whose sha256 run.json names.

    Raises:
        DamagedRunError: it is missing, or its bytes are others.
        TooLargeError: it is larger than `MODEL_FILE_BYTES`.
    """
    try:
        data = files.read(inside(path, "model", name), limit=MODEL_FILE_BYTES + 1)
    except FileNotFoundError:
        raise DamagedRunError(f"model/{name} is missing") from None
    if len(data) > MODEL_FILE_BYTES:
        raise TooLargeError(f"model/{name} is too large: up to {MODEL_FILE_BYTES:,} bytes are read")
    if sha256(data).hexdigest() != digest:
        raise DamagedRunError(f"model/{name} is damaged: its sha256 is not the one that run.json names")
    return data

"""A folder that appears with everything in it, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from engine.errors import BadInputError
from engine.store.buckets.mirror import address_of, called, check_nothing_left, files_of, local_folder, move_into_store
from engine.store.files import Files

PARTIAL = ".partial"
"""End of the hidden name that a folder has until it is whole."""


@contextmanager
def appears_at_once(out: Path, what: str, files: Files | None = None) -> Iterator[Path]:
    """A hidden folder beside `out`, made at once, that takes its name when everything in it is written, else vanishes.

    Args:
        out: the folder; or the address of a run on an object store, where it appears at once, too.
        what: it is to hold, for the message.
        files: file operations.

    Raises:
        BadInputError: there is something at `out`.
        StorageError: the disk refused.
    """
    files, place = files or Files(), local_folder(out).absolute()
    goes_into_store = address_of(place) is not None
    _check_free(out, place, what)
    partial = place.with_name(f".{place.name}.{uuid4().hex}{PARTIAL}")
    files.make_folder(partial)
    try:
        yield partial
        _check_free(out, place, what)
        if goes_into_store:
            move_into_store(partial, place)
        else:
            files.rename(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_free(out: Path, place: Path, what: str) -> None:
    if address_of(place) is not None:
        is_free = not files_of(place).exists(place / "run.json")
    else:
        is_free = not place.exists() or (place.is_dir() and not any(place.iterdir()))
    if not is_free:
        raise BadInputError(f"{called(out)} is there already; choose another folder for the {what}")
    if address_of(place) is not None:
        check_nothing_left(place)

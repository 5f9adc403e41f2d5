"""A folder that appears with everything in it, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from engine.errors import BadInputError
from engine.store.files import Files

PARTIAL = ".partial"
"""End of the hidden name that a folder has until it is whole."""


@contextmanager
def appears_at_once(out: Path, what: str, files: Files | None = None) -> Iterator[Path]:
    """A hidden folder beside `out`, made at once, that takes its name when everything in it is written, else vanishes.

    Args:
        out: the folder.
        what: it is to hold, for the message.
        files: file operations.

    Raises:
        BadInputError: there is something at `out`.
        StorageError: the disk refused.
    """
    files = files or Files()
    _check_free(out, what)
    place = out.absolute()
    partial = place.with_name(f".{place.name}.{uuid4().hex}{PARTIAL}")
    files.make_folder(partial)
    try:
        yield partial
        _check_free(out, what)
        files.rename(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_free(out: Path, what: str) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise BadInputError(f"{out} is there already; choose another folder for the {what}")

"""What a person says of a run: a name to show, tags, and whether it is archived. None of it is committed data.

It is the document `<run>/notes/about.json`. Of a run that can't be written it is `<folder>/notes/<digest>.json` in the folder of
runs in which the run was found. Addresses and commands go on calling the run by its folder.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from os import fsencode
from os.path import lexists
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from engine.errors import BadInputError, DamagedRunError, EngineError, NotARunError, StorageError, TooLargeError
from engine.store.documents import read_json, set_aside, write_json
from engine.store.files import Files, inside
from engine.typed import settle, typed

FOLDER, FILE = "notes", "about.json"
LONGEST_NAME, LONGEST_TAG, MOST_TAGS = 120, 40, 20
LARGEST_NOTES = 64 * 2**10
"""Bytes that are read."""
LOCK_SECONDS = 10.0
"""How long another tab or process is waited for that changes the same notes."""

Name = Annotated[str, Meta(max_length=LONGEST_NAME, extra={"right": f"a text of at most {LONGEST_NAME} characters"})]
Tag = Annotated[str, Meta(min_length=1, max_length=LONGEST_TAG)]


@dataclass(frozen=True)
class RunNotes:
    """What `notes/about.json` says.

    >>> RunNotes(tags=["slow", "seed sweep"]).tags
    ('slow', 'seed sweep')

    Raises:
        BadInputError: a name or a tag is too long, or there are too many tags.
    """

    name: Name = ""
    """To be shown; empty: the run's folder."""
    tags: Annotated[
        tuple[Tag, ...],
        Meta(max_length=MOST_TAGS, extra={"right": f"at most {MOST_TAGS} tags of 1 to {LONGEST_TAG} characters"}),
    ] = ()
    """By which lists can be filtered."""
    archived: bool = False
    """Whether lists leave it out until somebody asks for it."""

    def __post_init__(self) -> None:
        settle(self)


def read_run_notes(run: Path, folder: Path | None = None) -> RunNotes:
    """What is said of a run; nothing where there is no file.

    Args:
        run: its folder.
        folder: of runs, in which it was found; what is said there counts before what is said in the run.

    Raises:
        DamagedRunError: the file is not what was written, or no plain file.
        StorageError: the disk refused.
    """
    if folder is not None and not lexists(f"{folder}/{FOLDER}"):
        folder = None
    if folder is None and not lexists(f"{run}/{FOLDER}"):
        return RunNotes()  # of most of thousands of runs nobody said anything
    for top, names in _places(run, folder):
        found = _read(inside(top, *names))
        if found is not None:
            return found
    return RunNotes()


def run_notes_or_why(run: Path, folder: Path | None = None) -> tuple[RunNotes, str]:
    """`read_run_notes`, and why they can't be read in one line; they count as if there were none, then."""
    try:
        return read_run_notes(run, folder), ""
    except (EngineError, OSError) as error:
        return RunNotes(), str(error)


def change_run_notes(
    run: Path, change: Callable[[RunNotes], RunNotes], folder: Path | None = None, files: Files | None = None
) -> RunNotes:
    """Write what `change` makes of the notes; nobody else changes them meanwhile. Damaged ones are kept under another name.

    Args:
        run: its folder.
        change: from what is said by now to what is to be said.
        folder: of runs, in which the run was found, for a run that can't be written.
        files: file operations.

    Raises:
        BadInputError: a name or a tag is too long, or there are too many tags.
        NotARunError: the run is no longer there.
        StorageError: neither the run nor the folder can be written; the old notes stay.
        LockedRunError: another process holds them for too long.
    """
    if not (run / "run.json").is_file():
        raise NotARunError(f"the run {run.name} is no longer there; choose another one")
    (own, *others), files = _places(run, folder)[::-1], files or Files()
    try:
        after = _change(own, change, run, folder, files)
    except (StorageError, DamagedRunError):
        if not others:
            raise
        return _change(others[0], change, run, folder, files)
    for top, names in others:  # the run can be written by now
        with suppress(FileNotFoundError):
            files.remove(inside(top, *names), durable=True)  # they would count before those that were written
    return after


Place = tuple[Path, tuple[str, ...]]
"""A folder, and the names below it."""


def _places(run: Path, folder: Path | None) -> list[Place]:
    """Where notes of a run can be, the ones that count first."""
    own: Place = run, (FOLDER, FILE)
    if folder is None or folder == run:
        return [own]
    digest = sha256(fsencode(run.relative_to(folder).as_posix())).hexdigest()[:32]
    return [(folder, (FOLDER, f"{digest}.json")), own]


def _read(path: Path) -> RunNotes | None:
    try:
        now = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{path} can't be read ({error.strerror})") from error
    return _as_written(path, (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))


@lru_cache(maxsize=4096)
def _as_written(path: Path, stamp: tuple[int, ...]) -> RunNotes | None:
    """The content of the file as of that stamp; lists ask for it every few seconds."""
    name = f"{path.parent.name}/{path.name}"
    if stamp[1] > LARGEST_NOTES:
        raise TooLargeError(f"{name} is too large: what is said of a run has at most {LARGEST_NOTES // 1024} KiB")
    document = read_json(path)
    if document is None:
        return None
    try:
        return typed(RunNotes, document.values, more=True)
    except BadInputError as error:
        raise DamagedRunError(f"{name} is damaged: it says nothing of a run ({error})") from error


def _change(
    place: Place, change: Callable[[RunNotes], RunNotes], run: Path, folder: Path | None, files: Files
) -> RunNotes:
    """Write into one place what becomes of the notes that count."""
    top, names = place
    path = inside(top, *names)
    files.make_folder(path.parent)
    lock = files.lock(inside(path.parent, "lock"), wait=LOCK_SECONDS)
    try:
        files.sweep(path.parent)
        after = change(_sound(run, folder))
        _set_aside_damaged(path)
        write_json(path, {"run": run.name, **asdict(after)}, files)
    finally:
        files.unlock(lock)
    return after


def _sound(run: Path, folder: Path | None) -> RunNotes:
    """What is said by now; damaged notes say nothing, and those that can't be read are not known."""
    try:
        return read_run_notes(run, folder)
    except DamagedRunError:
        return RunNotes()


def _set_aside_damaged(path: Path) -> None:
    try:
        _read(path)
    except DamagedRunError:
        set_aside(path)

"""A person's note on an intervention, or on a series of them: the document `note.json` in its folder.

Earlier versions wrote plain text into `note.txt`, which is read where there is no document.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInputError, DamagedRunError
from engine.store.documents import read_json, write_json
from engine.store.files import Files, inside
from engine.typed import typed

NOTE_FILE = "note.json"
EARLIER_FILE = "note.txt"
LONGEST_NOTE = 2**20
"""Bytes of a note of an earlier version that are read."""


@dataclass(frozen=True)
class Note:
    """What `note.json` says."""

    text: str


def read_note(folder: Path) -> str:
    """The note, or an empty text where there is none.

    Raises:
        DamagedRunError: the note is not what was written; it is left as it is.
        StorageError: the disk refused.
    """
    document = read_json(inside(folder, NOTE_FILE))
    if document is None:
        try:
            return Files().read(inside(folder, EARLIER_FILE), limit=LONGEST_NOTE).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
    try:
        return typed(Note, document.values, more=True).text
    except BadInputError as error:
        raise DamagedRunError(f"{folder.name}/{NOTE_FILE} is damaged: it holds no text ({error})") from error


def write_note(folder: Path, text: str) -> None:
    """Replace the note as a whole; an empty text removes it.

    Raises:
        BadInputError: the intervention is no longer there.
        DamagedRunError: the note that is there is not what was written; it is left as it is.
        StorageError: the disk refused; the old note stays.
    """
    if not folder.is_dir():
        raise BadInputError(f"the intervention {folder.name} is no longer there; reload the page")
    read_note(folder)
    files, text = Files(), text.strip()
    if text:
        write_json(inside(folder, NOTE_FILE), {"text": text}, files)
    for name in (EARLIER_FILE,) if text else (NOTE_FILE, EARLIER_FILE):
        path = inside(folder, name)
        if files.exists(path):
            files.remove(path, durable=True)

"""A person's note on an intervention, or on a series of them: plain text in the file `note.txt` of its folder."""

from __future__ import annotations

from pathlib import Path

from engine.errors import BadInputError, DamagedRunError, StorageError
from engine.store.files import Files

NOTE_FILE = "note.txt"


def read_note(folder: Path) -> str:
    """The note, or an empty text where there is none that can be read."""
    try:
        return Files().read(folder / NOTE_FILE).decode("utf-8", "replace")
    except (FileNotFoundError, DamagedRunError, StorageError):
        return ""


def write_note(folder: Path, text: str) -> None:
    """Replace the note as a whole; an empty text removes it.

    Raises:
        BadInputError: the intervention is no longer there.
        StorageError: the disk refused; the old note stays.
    """
    if not folder.is_dir():
        raise BadInputError(f"the intervention {folder.name} is no longer there; reload the page")
    files, path, text = Files(), folder / NOTE_FILE, text.strip()
    if text:
        files.replace(path, text.encode("utf-8", "replace"))
    elif files.exists(path):
        files.remove(path)

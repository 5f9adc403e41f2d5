"""Notes: any text, replaced as a whole, and gone when they are emptied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import BadInputError, DamagedRunError, StorageError
from engine.intervention.notes import read_note, write_note
from engine.store.files import Files


@pytest.mark.parametrize(
    "text", ["why?", "# no *Markdown* <b>\n\n![x](http://host/a.png)", "π ≠ 3 🙂", "\ud800 alone", "x" * 10**5]
)
def test_any_text_comes_back(tmp_path: Path, text: str) -> None:
    write_note(tmp_path, text)
    assert read_note(tmp_path) == text.replace("\ud800", "?")


def test_an_empty_note_is_none(tmp_path: Path) -> None:
    assert read_note(tmp_path) == ""
    write_note(tmp_path, "")
    write_note(tmp_path, "something")
    write_note(tmp_path, "  \n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_note(tmp_path, "old")

    def full(self: Files, operation: object, *arguments: object, **named: object) -> object:
        if operation is os.write:
            raise OSError(28, "No space left on device")
        return operation(*arguments, **named)  # type: ignore[operator]

    monkeypatch.setattr(Files, "call", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_note(tmp_path, "new")
    assert read_note(tmp_path) == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["note.json"]


def test_an_intervention_that_is_gone_does_not_come_back(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no longer there"):
        write_note(tmp_path / "gone", "text")
    assert not (tmp_path / "gone").exists()


def test_a_note_of_an_earlier_version_is_read_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("from before")
    assert read_note(tmp_path) == "from before"
    write_note(tmp_path, "now")
    assert read_note(tmp_path) == "now"
    assert [path.name for path in tmp_path.iterdir()] == ["note.json"]


def test_a_damaged_note_is_an_error_and_stays(tmp_path: Path) -> None:
    write_note(tmp_path, "something")
    path = tmp_path / "note.json"
    path.write_bytes(path.read_bytes().replace(b"something", b"somethinf"))
    damaged = path.read_bytes()
    with pytest.raises(DamagedRunError, match=r"note.json is damaged"):
        read_note(tmp_path)
    with pytest.raises(DamagedRunError, match=r"note.json is damaged"):
        write_note(tmp_path, "over it")
    assert path.read_bytes() == damaged

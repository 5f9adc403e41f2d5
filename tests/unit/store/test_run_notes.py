"""Names, tags and the archive: what is written is read, by two writers too, and nothing else is taken for it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BadInputError, DamagedRunError, NotARunError, StorageError
from engine.store import run_notes
from engine.store.documents import write_json
from engine.store.files import Files
from engine.store.run_notes import RunNotes, change_run_notes, read_run_notes, run_notes_or_why
from engine.store.verify import verify_documents

SAID = RunNotes("the good one", ("slow", "42"), archived=True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "mine"
    path.mkdir(parents=True)
    (path / "run.json").write_text("{}")
    return path


class ReadOnly(Files):
    """Refuses to make anything in one folder, as a disk that is mounted read-only does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make_folder(self, path: Path) -> None:
        if path.is_relative_to(self.folder):
            raise StorageError(f"{path} can't be used (Read-only file system)")
        super().make_folder(path)


def test_what_is_written_is_read(run: Path, tmp_path: Path) -> None:
    assert read_run_notes(run, tmp_path) == RunNotes()
    assert change_run_notes(run, lambda _: SAID, tmp_path) == SAID
    assert read_run_notes(run, tmp_path) == read_run_notes(run) == SAID
    assert change_run_notes(run, lambda notes: replace(notes, archived=False)) == replace(SAID, archived=False)
    assert verify_documents(run) == ([], [])
    assert [path.name for path in tmp_path.iterdir()] == ["deep"], "nothing outside of the run"


def test_where_nobody_said_anything_no_file_is_looked_for(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_run_notes(run, lambda _: SAID, tmp_path)
    other = tmp_path / "deep" / "other"
    other.mkdir()
    monkeypatch.setattr(run_notes, "inside", lambda top, *names: pytest.fail(f"{names} looked for in {top}"))
    assert read_run_notes(other, tmp_path) == RunNotes()


def test_notes_that_cant_be_read_are_not_taken_for_none(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_run_notes(run, lambda _: SAID)

    def refused(path: Path) -> None:
        raise StorageError(f"{path} failed (Input/output error)")

    with monkeypatch.context() as patch:
        patch.setattr(run_notes, "_read", refused)
        with pytest.raises(StorageError, match="Input/output error"):
            change_run_notes(run, lambda notes: replace(notes, archived=False))
    assert read_run_notes(run) == SAID


def test_two_writers_both_count(run: Path) -> None:
    def add(tag: str) -> None:
        change_run_notes(run, lambda notes: replace(notes, tags=(*notes.tags, tag)))

    writers = [threading.Thread(target=add, args=(f"tag {i}",)) for i in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(read_run_notes(run).tags) == [f"tag {i}" for i in range(8)]


def test_a_run_that_cant_be_written_has_them_in_the_folder_of_runs(run: Path, tmp_path: Path) -> None:
    change_run_notes(run, lambda _: RunNotes("its own"))
    sealed = ReadOnly(run)
    with pytest.raises(StorageError, match="Read-only"):
        change_run_notes(run, lambda _: SAID, files=sealed)
    change_run_notes(run, lambda notes: replace(notes, tags=("new",)), tmp_path, sealed)
    assert read_run_notes(run, tmp_path) == RunNotes("its own", ("new",))
    assert read_run_notes(run) == RunNotes("its own")
    assert read_run_notes(run.parent, tmp_path) == RunNotes(), "another run's"
    change_run_notes(run, lambda notes: replace(notes, archived=True), tmp_path)
    assert read_run_notes(run) == read_run_notes(run, tmp_path) == RunNotes("its own", ("new",), True)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.write_bytes(path.read_bytes().replace(b"good", b"bood")), "is damaged"),
        (lambda path: path.write_text("[" * 10_000), "is damaged"),
        (lambda path: path.write_text('"' + "x" * 70_000 + '"'), "is too large"),
        (lambda path: write_json(path, {"name": 3}), "name is 3; it must be a text"),
        (lambda path: write_json(path, {"name": "n" * 121}), "at most 120 characters"),
        (lambda path: write_json(path, {"tags": ["t"] * 21}), "at most 20 tags"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), "is a symbolic link"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a regular file"),
    ],
)
def test_damage_is_one_line_and_as_if_there_were_none(run: Path, tmp_path: Path, spoil, why: str) -> None:
    change_run_notes(run, lambda _: SAID)
    spoil(run / "notes" / "about.json")
    with pytest.raises(DamagedRunError, match=why):
        read_run_notes(run)
    notes, line = run_notes_or_why(run, tmp_path)
    assert (notes, why in line, "\n" in line) == (RunNotes(), True, False)
    change_run_notes(run, lambda notes: replace(notes, name="anew"), tmp_path)
    assert read_run_notes(run, tmp_path) == RunNotes("anew")


def test_nothing_is_written_through_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (run / "notes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedRunError, match="symbolic link"):
        change_run_notes(run, lambda _: SAID)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_too_long_is_refused(run: Path) -> None:
    with pytest.raises(BadInputError, match="at most 120 characters"):
        change_run_notes(run, lambda notes: replace(notes, name="n" * 121))
    with pytest.raises(BadInputError, match="1 to 40 characters"):
        RunNotes(tags=("",))
    assert read_run_notes(run) == RunNotes()


def test_a_run_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotARunError, match="no longer there"):
        change_run_notes(tmp_path / "gone", lambda _: SAID)

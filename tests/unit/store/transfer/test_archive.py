"""A run in one file: what is in it, what comes out of it, and what never does."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from commands import Listing

from benchmarks.faults.made_up_rounds import write_run
from engine.errors import BadInputError, DamagedRunError, NotARunError
from engine.intervention.record_sets import change_basket
from engine.store import Files, open_run
from engine.store.run_notes import RunNotes, change_run_notes
from engine.store.transfer.archive import archive_run, unpack

NOT_ARCHIVED = {"writer.lock", "lock", "derived", "interventions"}
"""What a run's folder has that no archive holds."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """With notes and a basket."""
    path = write_run(tmp_path / "run")
    change_run_notes(path, lambda _: RunNotes("the good one"))
    change_basket(open_run(path), 1, [3, 5])
    return path


def unpacked(archive: Path) -> Path:
    folder = archive.with_suffix("")
    folder.mkdir()
    unpack(archive, folder, Files())
    return folder


def tar(path: Path, **files: bytes) -> Path:
    """An archive with these files; in a name `__` stands for a slash, `_` for a dot."""
    with tarfile.open(path, "w") as made:
        for name, data in files.items():
            member = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return path


def test_a_damaged_header_is_no_end(run: Path, tmp_path: Path) -> None:
    archive_run(run, tmp_path / "sent.tar")
    data = (tmp_path / "sent.tar").read_bytes()
    with tarfile.open(tmp_path / "sent.tar") as found:
        headers = [member.offset for member in found][1:]
    for n, at in enumerate(headers):
        (tmp_path / f"{n}.tar").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(DamagedRunError, match="does not end where a file in it ends"):
            unpacked(tmp_path / f"{n}.tar")
        (tmp_path / f"cut-{n}.tar").write_bytes(data[:at])
        with pytest.raises(DamagedRunError, match="does not end where a file in it ends"):
            unpacked(tmp_path / f"cut-{n}.tar")


def test_all_that_is_archived_comes_out_as_it_was(run: Path, tmp_path: Path, listing: Listing) -> None:
    (run / "interventions").mkdir()
    (run / "derived").mkdir()
    (run / "derived" / "cache.parquet").write_bytes(b"x")
    archive_run(run, tmp_path / "sent.tar")
    whole = {name: data for name, data in listing(run).items() if not {*Path(name).parts} & NOT_ARCHIVED}
    assert listing(unpacked(tmp_path / "sent.tar")) == whole
    with tarfile.open(tmp_path / "sent.tar") as found:
        assert {name.partition("/")[0] for name in found.getnames()} == {"run"}
        assert all(member.isreg() and member.mtime == 0 for member in found)


def test_an_archive_is_the_same_each_time_and_replaces_nothing(run: Path, tmp_path: Path) -> None:
    archive_run(run, tmp_path / "one.tar")
    archive_run(run, tmp_path / "below" / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "below" / "two.tar").read_bytes()
    (tmp_path / "mine.tar").write_text("mine")
    with pytest.raises(BadInputError, match=r"mine.tar is there already; choose another file"):
        archive_run(run, tmp_path / "mine.tar")
    assert (tmp_path / "mine.tar").read_text() == "mine"


def test_damage_does_not_travel(run: Path, tmp_path: Path) -> None:
    file = sorted((run / "data").glob("000002-records*"))[0]
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedRunError, match=file.name):
        archive_run(run, tmp_path / "sent.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_is_no_file_of_a_run_stays_in_the_archive(run: Path, tmp_path: Path, listing: Listing) -> None:
    archive_run(run, tmp_path / "sent.tar")
    with tarfile.open(tmp_path / "sent.tar", "a") as made:
        for name in ("../up", "/tmp/up", "run/../up", "run/evil.py", "elsewhere/run.json", "run/derived/x.parquet"):
            made.addfile(tarfile.TarInfo(name))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("run/basket/000002.json")
            member.type, member.linkname = kind, "/etc/passwd"
            made.addfile(member)
    folder = tmp_path / "out"
    folder.mkdir()
    assert unpack(tmp_path / "sent.tar", folder, Files()) == {"others": 8, "derived": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run", "sent.tar"]
    assert not any("evil" in name or "000002.json" in name for name in listing(folder) if "basket" in name)


@pytest.mark.parametrize("compressed", ["gz", "xz"])
def test_only_a_plain_tar_is_an_archive(run: Path, tmp_path: Path, compressed: str) -> None:
    path = tmp_path / "sent.tar"
    with tarfile.open(path, f"w:{compressed}") as made:  # type: ignore[call-overload]
        made.add(run, "run")
    with pytest.raises(NotARunError, match=r"sent\.tar is no archive of a run, a plain tar"):
        unpacked(path)


def test_an_archive_without_a_run_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        NotARunError, match=r"holds no run; make an archive with: python -m engine export RUN --archive FILE"
    ):
        unpacked(tar(tmp_path / "other.tar", notes__txt=b"x"))
    with pytest.raises(DamagedRunError, match=r"twice.tar is damaged: it holds run.json twice"):
        unpacked(tar(tmp_path / "twice.tar", a__run_json=b"{}", run_json=b"{}"))


def test_an_archive_that_was_cut_off_is_no_run(run: Path, tmp_path: Path) -> None:
    archive_run(run, tmp_path / "sent.tar")
    data = (tmp_path / "sent.tar").read_bytes()
    for i, length in enumerate((0, 100, 700, len(data) // 2)):
        path = tmp_path / f"cut{i}.tar"
        path.write_bytes(data[:length])
        with pytest.raises((NotARunError, DamagedRunError), match=r"^[^\n]*$"):
            open_run(unpacked(path))

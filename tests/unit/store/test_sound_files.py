"""What is verified once is not read again while nobody writes it; what was written since, or comes from elsewhere, is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.faults.made_up_rounds import METRICS, make_snapshot, write_run
from engine.store import Damage, Files, RunWriter, save_table, sound_files, verify, verify_run
from engine.store.sound_files import SoundFiles
from engine.store.verify import verify_rounds

OF_A_ROUND = 4
"""Its commit, and three files of data."""


class Noted(Files):
    """Which files of a run are read."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def read(self, path: Path, limit: int | None = None) -> bytes:
        self.seen.append(f"{path.parent.name}/{path.name}")
        return super().read(path, limit)

    def of(self, folder: str) -> list[str]:
        return [name for name in self.seen if name.startswith(f"{folder}/")]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written a moment ago count as settled, and short runs have an index of commits."""
    monkeypatch.setattr(sound_files, "RACY_SECONDS", 0.0)
    monkeypatch.setattr(verify, "WORTH", 2)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = write_run(tmp_path / "run", rounds=4, final=False)
    assert verified(path)[0] == []
    return path


def verified(path: Path) -> tuple[list[Damage], Noted]:
    files = Noted()
    damage = verify_rounds(path, files, SoundFiles(path, files))
    return damage, files


def add_round(path: Path) -> None:
    with RunWriter.append(path) as writer:
        assert writer.next_round is not None
        writer.commit_round(make_snapshot(writer.next_round), METRICS)


def flip(file: Path) -> None:
    """One bit, in place, and the time of the last change is put back."""
    times, data = file.stat(), bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    with file.open("r+b") as opened:
        opened.write(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("rounds", [4, 12])
def test_only_what_is_new_is_read_however_long_the_run(tmp_path: Path, rounds: int) -> None:
    path = write_run(tmp_path / "run", rounds=rounds, final=False)
    damage, files = verified(path)
    assert (damage, len(files.of("data")), len(files.of("commits"))) == ([], 3 * rounds, rounds)
    damage, files = verified(path)
    assert (damage, files.of("data"), len(files.of("commits"))) == ([], [], 1), (
        "the last commit, which vouches for the index"
    )
    add_round(path)
    damage, files = verified(path)
    new = [f"data/{each.name}" for each in (path / "data").glob(f"{rounds:06d}-*")]
    assert (damage, sorted(files.of("data"))) == ([], sorted(new))
    assert files.of("commits") == [f"commits/{rounds - 1:06d}.json", f"commits/{rounds:06d}.json"]


def test_it_counts_what_it_passes_over(run: Path) -> None:
    sound = SoundFiles(run)
    assert verify_rounds(run, sound=sound) == []
    assert sound.passed_over == 4 * OF_A_ROUND
    assert verify_run(run) == [], "who wants everything read has it read"


def test_every_file_that_was_written_since_is_read_and_its_damage_named(run: Path) -> None:
    for file in sorted((*(run / "data").iterdir(), *(run / "commits").iterdir())):
        sound = file.read_bytes()
        flip(file)
        assert verified(run)[0][0].file == f"{file.parent.name}/{file.name}"
        assert verified(run)[0] == verify_run(run), "what was damaged is not taken for sound the next time"
        file.write_bytes(sound)
    assert verified(run)[0] == []


def test_a_file_that_is_gone_is_missed(run: Path) -> None:
    gone = next((run / "data").glob("000001-records-*"))
    gone.unlink()
    assert [found.file for found in verified(run)[0]] == [f"data/{gone.name}"]


def test_a_copy_is_read_in_whole_though_it_brings_what_is_known_of_the_original(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    assert (copy / "derived").exists()
    damage, files = verified(copy)
    assert (damage, len(files.of("data"))) == ([], 12)
    assert verified(copy)[1].of("data") == []


def test_what_was_written_a_moment_ago_is_read_again(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_files, "RACY_SECONDS", 3600.0)
    for _ in range(2):
        assert len(verified(run)[1].of("data")) == 12


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"file": ["x"]}),
        pa.table({"file": [None], "known": ["1"]}),
        pa.table({"file": pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers()), "known": ["1"]}),
        pa.table({"file": [1], "known": [2]}),
    ],
    ids=["a column is missing", "null", "no text", "numbers"],
)
def test_a_table_that_says_something_else_is_as_none(run: Path, table: pa.Table) -> None:
    assert save_table(run, sound_files._KEY, table)
    damage, files = verified(run)
    assert (damage, len(files.of("data"))) == ([], 12)

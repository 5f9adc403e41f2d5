"""The index of a folder's runs: what the runs say themselves, kept, and never trusted over a run."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_metrics import write

import engine
from engine.analysis import run_index
from engine.analysis.run_index import TABLE, RowReader, RunIndex, RunRow, Worst, extremes, row_of
from engine.errors import DamagedRunError
from engine.store.derived import load_table, save_table
from engine.store.find import find_runs

FALLEN = {"mean_return": 20.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose return falls at round 6, and a quiet one."""
    write(tmp_path / "runs" / "falls", [{}] * 6 + [FALLEN] * 3)
    write(tmp_path / "runs" / "quiet", [{}] * 4)
    return tmp_path / "runs"


class Reading:
    """Reads rows, and remembers of which runs."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.reader = RowReader()

    def __call__(self, path: Path) -> RunRow:
        self.read.append(path.name)
        return self.reader(path)


@pytest.fixture(autouse=True)
def _all_runs_are_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "SETTLED_SECONDS", -1.0)


def looked_at(folder: Path) -> tuple[RunIndex, list[str]]:
    """An index that has looked and read all, as another process makes it; and which runs it had to read."""
    reading = Reading()
    index = RunIndex(folder, reading)
    index.look(find_runs(folder))
    index.advance()
    return index, reading.read


def test_a_row_says_what_the_run_says(folder: Path) -> None:
    run = engine.open_run(folder / "falls")
    row = row_of(run)
    (fall,) = engine.incidents(run)
    assert (row.env_id, row.seed, row.rounds, row.last) == (
        run.manifest.env_id,
        run.config.seed,
        9,
        run.rounds[-1].round,
    )
    assert row.returns == tuple(info.metrics["mean_return"] for info in run.rounds)
    assert (row.incidents, row.first_incident) == (1, fall.short)
    assert row.worst == Worst(fall.short, fall.update, True, True, True, 1.0)
    assert row.final_return == 20.0


def test_what_is_kept_is_not_read_again(folder: Path) -> None:
    first, read = looked_at(folder)
    assert sorted(read) == ["falls", "quiet"]
    again, read = looked_at(folder)
    assert read == []
    assert again.rows == first.rows == {path: row_of(engine.open_run(path)) for path in find_runs(folder)}


def test_a_run_that_grew_was_replaced_or_came_is_read_and_one_that_went_is_gone(folder: Path) -> None:
    growing = shutil.copytree(folder / "falls", folder / "growing")
    last = sorted((growing / "commits").iterdir())[-1]
    kept = last.read_bytes()
    last.unlink()
    index, _ = looked_at(folder)
    rounds = index.rows[growing].rounds
    last.write_bytes(kept)
    shutil.rmtree(folder / "quiet")
    write(folder / "new", [{}])
    index.look(find_runs(folder))
    assert {path.name for path in index.rows} == {"falls"}
    assert {path.name for path in index.missing} == {"growing", "new"}
    index.advance()
    assert index.rows[growing].rounds == rounds + 1
    again, read = looked_at(folder)
    assert (read, again.rows) == ([], index.rows)


def test_the_newest_is_read_first_and_only_for_so_long(folder: Path) -> None:
    os.utime(folder / "falls" / "commits", (1, 1))
    index = RunIndex(folder)
    index.look(find_runs(folder))
    index.advance(0.0)
    assert [path.name for path in index.rows] == ["quiet"]
    index.advance(0.0)
    assert not index.missing


def test_a_damaged_run_is_a_line_and_is_read_again_once_it_changed(folder: Path) -> None:
    commit = folder / "quiet" / "commits" / "000001.json"
    whole = commit.read_bytes()
    commit.write_bytes(whole.replace(b'"round"', b'"wound"', 1))
    index, _ = looked_at(folder)
    assert {path.name for path in index.rows} == {"falls"}
    assert "000001.json is damaged" in index.problems[folder / "quiet"]
    index.look(find_runs(folder))
    assert index.missing == [], "it is not read at every look"
    commit.unlink()
    commit.write_bytes(whole)
    index.look(find_runs(folder))
    index.advance()
    assert (len(index.rows), index.problems) == (2, {})


def test_the_last_commit_is_looked_at_too(folder: Path) -> None:
    index, _ = looked_at(folder)
    commit = sorted((folder / "quiet" / "commits").iterdir())[-1]
    commit.write_bytes(commit.read_bytes()[:-9])
    index.look(find_runs(folder))
    assert index.missing == [folder / "quiet"]


@pytest.mark.parametrize("spoil", ["delete", "damage", "forge", "foreign"])
def test_an_index_that_is_gone_damaged_forged_or_received_counts_for_nothing(folder: Path, spoil: str) -> None:
    index, _ = looked_at(folder)
    (file,) = (folder / "derived").glob(f"{TABLE}-*")
    if spoil == "delete":
        file.unlink()
    elif spoil == "damage":
        file.write_bytes(file.read_bytes()[:-20])
    elif spoil == "forge":
        table = load_table(folder, TABLE)
        assert table is not None
        rows = [text.replace('"rounds": 9', '"rounds": "nine"') for text in table["row"].to_pylist()]
        forged = table.set_column(2, "row", [rows])
        save_table(folder, TABLE, forged)
    else:
        received = shutil.copytree(folder, folder.parent / "received")
        table = load_table(received, TABLE)
        assert table is not None
        rows = [text.replace('"rounds": ', '"rounds": 1') for text in table["row"].to_pylist()]
        save_table(received, TABLE, table.set_column(2, "row", [rows]))
        found, read = looked_at(received)
        assert sorted(read) == ["falls", "quiet"]
        assert sorted(row.rounds for row in found.rows.values()) == [4, 9]
        return
    again, read = looked_at(folder)
    assert read
    assert again.rows == index.rows


def test_a_folder_that_cant_be_written_has_an_index_all_the_same(folder: Path) -> None:
    (folder / "derived").write_text("a file")
    index, _ = looked_at(folder)
    assert len(index.rows) == 2
    assert RunIndex(folder.parent / "nowhere").rows == {}


def test_a_run_that_goes_on_is_opened_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(run_index, "open_run", lambda path: opened.append(path) or engine.open_run(path))
    run = folder / "quiet"
    last = sorted((run / "commits").iterdir())[-1]
    kept = last.read_bytes()
    last.unlink()
    reader = RowReader()
    before = reader(run)
    last.write_bytes(kept)
    assert reader(run).last == before.last + 1
    assert opened == [run]
    last.write_bytes(kept[:-5])
    with pytest.raises(DamagedRunError):
        RowReader()(run)


def test_extremes_keep_what_stands_out() -> None:
    values = [float(i % 7) for i in range(1000)]
    values[501] = -50.0
    found = extremes(values, 60)
    assert len(found) <= 60
    assert min(found) == -50.0


def test_a_run_without_an_incident_has_its_largest_fall(tmp_path: Path) -> None:
    run = engine.open_run(
        write(tmp_path, [{"std_return": 90.0}] * 6 + [{"mean_return": 160.0, "std_return": 90.0}] * 3)
    )
    assert row_of(run).incidents == 0
    assert row_of(run).worst == Worst("200 to 160 at round 6", 5, False, True, True, 1.0)


def test_the_worst_is_an_incident_that_can_be_examined_then_no_number_then_the_largest_fall() -> None:
    fall = Worst("drop", 2, True, True, True, 0.4)
    order = [
        replace(fall, incident=False, size=1.0),
        replace(fall, stored=False, size=1.0),
        fall,
        replace(fall, size=0.9),
        replace(fall, finite=False),
    ]
    shuffled = [order[i] for i in (3, 0, 4, 2, 1)]
    assert sorted(shuffled, key=lambda each: each.rank) == order

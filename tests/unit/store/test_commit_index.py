"""The index of commits: a long run opens from it as from its commits, and from nothing that is not what they say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.faults.failing_files import CrashError, FailingFiles
from benchmarks.faults.made_up_rounds import make_manifest
from engine.errors import DamagedRunError
from engine.store import Files, RunWriter, commit_index, load_table, open_run, save_table, verify_run
from engine.store.commit_index import WORTH
from engine.store.read import Run

ROUNDS = WORTH + 40


class Quick(Files):
    """Forces nothing to the disk, and counts which commits are read."""

    def __init__(self) -> None:
        self.commits = 0

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        return None if operation.__name__ == "fsync" else operation(*args, **kwargs)

    def read(self, path: Path, limit: int | None = None) -> bytes:
        self.commits += path.parent.name == "commits"
        return super().read(path, limit)


def write(path: Path, rounds: int = ROUNDS, factor: float = 1.0) -> Path:
    """Make a run of which only the metrics are kept, or go on with it."""
    begun = (path / "run.json").exists()
    with RunWriter.append(path, Quick()) if begun else RunWriter.create(path, make_manifest(), Quick()) as writer:
        for k in range(writer.next_round or 0, rounds):
            writer.commit_metrics(k, {"mean_return": factor * k, "worst": None, "text": "“no number”"})
    return path


def read(path: Path) -> tuple[Run, int]:
    """The run by its index, and how many commits were read one by one."""
    files = Quick()
    return open_run(path, files, indexed=True), files.commits


def index_of(path: Path) -> Path:
    (found,) = (path / "derived").glob("*.parquet")
    return found


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write(tmp_path_factory.mktemp("indexed") / "run")
    assert read(path)[1] == ROUNDS
    return path


@pytest.fixture
def run(indexed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(indexed, tmp_path / "run")


def assert_as_committed(found: Run) -> None:
    expected = open_run(found.path)
    assert found.rounds == expected.rounds
    assert found.head == expected.head


def test_a_run_opens_from_its_index_as_from_its_commits(run: Path) -> None:
    found, commits = read(run)
    assert commits == 1, "the last one, which says what the others are worth"
    assert_as_committed(found)
    assert found.rounds[7].metrics == {"mean_return": 7.0, "worst": None, "text": "“no number”"}
    assert verify_run(run) == []


def test_a_longer_chain_is_read_from_where_the_index_ends_and_extends_it(run: Path) -> None:
    write(run, ROUNDS + 30)
    found, commits = read(run)
    assert commits == 31
    assert_as_committed(found)
    write(run, ROUNDS + WORTH + 1)
    found.refresh()
    assert_as_committed(found)
    assert read(run)[1] == 1, "it was written anew"


def test_a_short_run_has_no_index_and_a_run_that_wants_none_reads_none(run: Path, tmp_path: Path) -> None:
    short = write(tmp_path / "short", 5)
    assert len(read(short)[0].rounds) == 5
    assert not (short / "derived").exists()
    files = Quick()
    open_run(run, files)
    assert files.commits == ROUNDS


def test_what_the_index_hides_verify_finds(run: Path) -> None:
    commit = run / "commits" / "000100.json"
    commit.write_bytes(commit.read_bytes().replace(b"100.0", b"900.0"))
    found, _ = read(run)
    assert found.rounds[100].metrics["mean_return"] == 100.0
    assert [damage.file for damage in verify_run(run)][:1] == ["commits/000100.json"]


def test_a_commit_that_is_gone_is_named_all_the_same(run: Path) -> None:
    (run / "commits" / "000100.json").unlink()
    with pytest.raises(DamagedRunError, match=r"000100\.json is missing"):
        read(run)


def canonical(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


def chained(said: list[dict[str, Any]]) -> None:
    """Another return, and a chain of hashes that fits it."""
    said[100]["metrics"]["mean_return"] = 9.0
    for before, after in pairwise(said):
        after["previous"] = sha256(canonical(before)).hexdigest()


def forged(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[pa.Table], pa.Table]:
    """An index in which commits say something else."""

    def made(table: pa.Table) -> pa.Table:
        said = [json.loads(each) for each in table["commit"].to_pylist()]
        change(said)
        return pa.table({"commit": pa.array(map(canonical, said), pa.binary())})

    return made


WRONG: dict[str, Callable[[pa.Table], pa.Table]] = {
    "another return": forged(lambda said: said[100]["metrics"].update(mean_return=9.0)),
    "another return in a chain of its own": forged(chained),
    "another last return": forged(lambda said: said[-1]["metrics"].update(mean_return=9.0)),
    "a text for a number": forged(lambda said: said[100]["metrics"].update(mean_return="9")),
    "a name that no commit has": forged(lambda said: said[100].update(more=1)),
    "files that no round has": forged(lambda said: said[100].update(files=[{"name": "../x"}])),
    "a round is left out": forged(lambda said: said.pop(100)),
    "the first round is left out": forged(lambda said: said.pop(0)),
    "more rounds than there are": forged(lambda said: said.append(said[-1] | {"round": len(said)})),
    "no rounds": lambda table: table.slice(0, 0),
    "nulls": lambda table: pa.table({"commit": pa.array([None] * len(table), pa.binary())}),
    "no JSON": lambda table: pa.table({"commit": pa.array([b"{"] * len(table), pa.binary())}),
    "texts": lambda table: pa.table({"commit": table["commit"].cast(pa.string())}),
    "another column": lambda table: table.rename_columns(["commits"]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_index_that_is_not_what_the_commits_say_is_as_good_as_none(run: Path, wrong: str) -> None:
    key = index_of(run).name.partition("-")[0]
    table = load_table(run, key)
    assert table is not None
    assert save_table(run, key, WRONG[wrong](table))
    found, commits = read(run)
    assert commits >= ROUNDS
    assert_as_committed(found)
    assert read(run)[1] == 1, "a sound one is in its place"


def test_the_index_of_another_run_is_as_good_as_none(run: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", factor=2.0)
    read(other)
    shutil.rmtree(run / "derived")
    shutil.copytree(other / "derived", run / "derived")
    assert_as_committed(read(run)[0])


def test_a_changed_byte_makes_the_index_worthless(run: Path) -> None:
    index = index_of(run)
    data = bytearray(index.read_bytes())
    data[len(data) // 2] ^= 1
    index.write_bytes(data)
    found, commits = read(run)
    assert commits == ROUNDS
    assert_as_committed(found)


def test_a_writer_that_dies_anywhere_leaves_the_old_index_or_the_new_one(run: Path) -> None:
    whole = open_run(run)
    died = 0
    for operation in range(200):
        files = FailingFiles(operation, "torn")
        try:
            commit_index.save_commits(run, whole._commits, files)
        except CrashError:
            died += 1
        files.bury()
        found, commits = read(run)
        assert commits == 1
        assert len(found.rounds) == ROUNDS
        if not files.crashed:
            break
    assert died > 5
    assert pq.read_table(index_of(run)).num_rows == ROUNDS


def test_a_full_disk_or_a_folder_that_cannot_be_written_costs_nothing_but_the_index(run: Path) -> None:
    shutil.rmtree(run / "derived")
    (run / "derived").write_text("in the way")
    found, commits = read(run)
    assert commits == ROUNDS
    assert_as_committed(found)

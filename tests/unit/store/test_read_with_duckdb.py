"""DuckDB reads a run as docs/run-format.md says, and its answers are the engine's own numbers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest

import engine
from engine.store import export_run
from engine.store.read import Run

ROOT = Path(engine.__file__).parents[1]
SECTION = (ROOT / "docs" / "run-format.md").read_text().partition("## Read it with DuckDB")[2]
VIEWS, *QUERIES = re.findall(r"```sql\n(.*?)```", SECTION, re.DOTALL)
LAKE = ROOT / "sample_runs" / "FrozenLake-v1"


@pytest.fixture(scope="module")
def run() -> Run:
    return engine.open_run(LAKE)


def connected(folder: Path, monkeypatch: pytest.MonkeyPatch) -> duckdb.DuckDBPyConnection:
    monkeypatch.chdir(folder)
    connection = duckdb.connect()
    connection.execute(VIEWS)
    return connection


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> duckdb.DuckDBPyConnection:
    return connected(LAKE, monkeypatch)


def test_there_are_three_queries() -> None:
    assert len(QUERIES) == 3


def test_the_view_has_every_record_as_the_engine_reads_it(lake: duckdb.DuckDBPyConnection, run: Run) -> None:
    for k in (0, 12, 29):
        found = lake.execute("FROM records WHERE round = ? ORDER BY record", [k]).fetchnumpy()
        buffer = run.snapshot(k).buffer
        for name in ("env", "t", "episode", "observation", "action", "reward", "terminated", "advantage", "kept"):
            np.testing.assert_array_equal(found[name], getattr(buffer, name), name)
        np.testing.assert_array_equal(found["return"], buffer.returns)
    assert lake.execute("SELECT count(*), count(DISTINCT round) FROM records").fetchall() == [(30 * 2048, 30)]


def test_entropy_and_return_by_round(lake: duckdb.DuckDBPyConnection, run: Run) -> None:
    expected = [(info.round, info.metrics["entropy"], info.metrics["mean_return"]) for info in run.rounds]
    assert lake.execute(QUERIES[0]).fetchall() == expected


def test_the_lowest_advantages_before_the_largest_fall(lake: duckdb.DuckDBPyConnection, run: Run) -> None:
    returns = np.array([info.metrics["mean_return"] for info in run.rounds], np.float64)
    before = int(np.argmin(np.diff(returns)))
    buffer = run.snapshot(before).buffer
    means = {a: buffer.advantage[buffer.action == a].mean(dtype=np.float64) for a in np.unique(buffer.action).tolist()}
    found = lake.execute(QUERIES[1]).fetchall()
    assert [row[0] for row in found] == [before] * len(means)
    assert [row[1] for row in found] == sorted(means, key=lambda a: means[a])
    assert [row[2] for row in found] == [int((buffer.action == row[1]).sum()) for row in found]
    assert [row[3] for row in found] == pytest.approx([means[row[1]] for row in found])


def test_the_episodes_that_ended_in_a_round(lake: duckdb.DuckDBPyConnection, run: Run) -> None:
    found = lake.execute(QUERIES[2]).fetchall()
    metrics = run.rounds[12].metrics
    assert len(found) == metrics["episodes"]
    assert np.mean([steps for _, steps, _ in found]) == pytest.approx(metrics["mean_length"])
    assert np.mean([total for *_, total in found]) == pytest.approx(metrics["mean_return"])
    assert found == sorted(found, key=lambda row: (row[1], row[0]))


def test_what_no_commit_names_is_not_read(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed writer left lies in `data/`, and is no record of the run."""
    copy = export_run(LAKE, tmp_path / "copy", [3, 4]).path
    left = next((copy / "data").glob("000003-records-*"))
    shutil.copy(left, left.with_name(f"000005-records-{'0' * 32}.parquet"))
    found = connected(copy, monkeypatch).execute("SELECT DISTINCT round FROM records ORDER BY round").fetchall()
    assert found == [(3,), (4,)]

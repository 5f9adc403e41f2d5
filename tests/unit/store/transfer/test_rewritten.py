"""A run written anew: all values are there, whatever kind it is of, and nothing else of the original's bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.faults import dropping
from benchmarks.faults.made_up_rounds import write_run
from engine.errors import BadInputError, DamagedRunError
from engine.store import Run, open_run, verify_run
from engine.store.chain import Commit
from engine.store.parquet import to_parquet
from engine.store.transfer.rewritten import rewrite_run

SAMPLES = Path(__file__).parents[4] / "sample_runs"


def written(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def dropped(tmp_path: Path) -> Path:
    """A run of which most rounds were dropped, and the parameters after a kept one were not."""
    return dropping.write(tmp_path / "run", drops={3: (1, 2)})


@pytest.mark.parametrize("made", [written, dropped])
def test_all_values_are_there(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    same(open_run(made(tmp_path)), tmp_path / "new")


@pytest.mark.parametrize("name", ["courtesy", "CliffWalking-v1", "LunarLander-v3"])
def test_a_run_of_each_kind_is_written_anew(tmp_path: Path, name: str) -> None:
    same(open_run(SAMPLES / name), tmp_path / "new")


def same(run: Run, out: Path) -> None:
    new = rewrite_run(run, out)
    assert verify_run(out) == []
    assert [info.metrics for info in new.rounds] == [info.metrics for info in run.rounds]
    assert (new.stored_rounds, new.checkpoint_rounds) == (run.stored_rounds, run.checkpoint_rounds)
    assert {**new.manifest.to_json(), "model": 0} == {**run.manifest.to_json(), "model": 0}
    for k in run.checkpoint_rounds:
        assert bits(new, k) == bits(run, k)
    assert [json.loads(data) for data in new.model_files().values()] == [
        json.loads(data) for data in run.model_files().values()
    ]


def bits(run: Run, k: int) -> dict[str, bytes]:
    """All values of the files of a round, by kind."""
    tables = {file.kind: pq.read_table(run.path / "data" / file.name) for file in run.kept.of_round(k)}
    return {kind: to_parquet(table.replace_schema_metadata(None)) for kind, table in tables.items()}


def test_what_a_file_says_beside_its_values_does_not_travel(tmp_path: Path) -> None:
    """The schema's own metadata of a checkpoint, and a model's JSON with something behind its last brace."""
    path = write_run(tmp_path / "run")
    (last,) = (path / "commits").glob("000003.json")
    commit = Commit.from_bytes(last.read_bytes(), last.name)
    (file,) = commit.files
    table = pq.read_table(path / "data" / file.name).replace_schema_metadata({"planted": "PLANTED"})
    data = to_parquet(table)
    (path / "data" / file.name).write_bytes(data)
    other = type(file)(file.name, file.kind, len(data), sha256(data).hexdigest(), file.rows)
    last.write_bytes(Commit(3, True, (other,), commit.metrics, commit.previous).to_bytes())
    assert verify_run(path) == []
    new = rewrite_run(open_run(path), tmp_path / "new")
    assert not any(b"PLANTED" in found.read_bytes() for found in new.path.rglob("*.parquet"))


def test_progress_is_told_and_nothing_is_overwritten(tmp_path: Path) -> None:
    run = open_run(write_run(tmp_path / "run"))
    told: list[tuple[int, int]] = []
    rewrite_run(run, tmp_path / "new", report=lambda done, total: told.append((done, total)))
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]
    with pytest.raises(BadInputError, match="holds a run already"):
        rewrite_run(run, tmp_path / "new")


def test_damage_is_named(tmp_path: Path) -> None:
    run = open_run(write_run(tmp_path / "run"))
    (file,) = (run.path / "data").glob("000001-minibatches*")
    file.unlink()
    with pytest.raises(DamagedRunError, match=f"{file.name} is missing"):
        rewrite_run(run, tmp_path / "new")

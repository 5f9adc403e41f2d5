"""Small files that say they are large: refused before they are decoded, in bounded memory and time."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.faults.made_up_rounds import FLOATS, make_snapshot, write_run
from engine.errors import DamagedRunError, TooLargeError
from engine.store import find_runs, open_run, verify_run
from engine.store.chain import Commit
from engine.store.parquet import from_parquet, to_parquet
from engine.store.sizes import ROOM
from engine.store.tables import checkpoint_table, minibatches_table

HALF_A_GIGABYTE = 2**29


def resigned(run: Path, kind: str, change: Callable[[pa.Table], pa.Table | bytes]) -> Path:
    """The run with another file of that kind in its last round, and all hashes right."""
    commit_file = sorted((run / "commits").glob("*.json"))[-2]
    commit = Commit.from_bytes(commit_file.read_bytes(), commit_file.name)
    file = commit.file(kind)
    assert file is not None
    table = pq.read_table(run / "data" / file.name)
    made = change(table)
    data = made if isinstance(made, bytes) else to_parquet(made)
    rows = pq.read_metadata(io.BytesIO(data)).num_rows
    described = {**vars(file), "bytes": len(data), "sha256": sha256(data).hexdigest(), "rows": rows}
    files = tuple(type(file)(**described) if one is file else one for one in commit.files)
    (run / "data" / file.name).write_bytes(data)
    again = Commit(commit.round, commit.final, files, commit.metrics, commit.previous, commit.fingerprint)
    commit_file.write_bytes(again.to_bytes())
    sorted((run / "commits").glob("*.json"))[-1].unlink()
    return run


def zeros(size: int) -> pa.Table:
    """A checkpoint with one tensor of that many zero bytes, in parts as a writer makes them."""
    return checkpoint_table({"parameter/x": np.zeros(size, np.uint8)})


def long_texts(_: pa.Table) -> bytes:
    """A million values that are one long text, in a few hundred bytes: what a dictionary makes of them."""
    sink = io.BytesIO()
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(300, np.int32)), pa.array(["x" * 2**20]))
    pq.write_table(pa.table({"name": text}), sink, compression="zstd", use_dictionary=True)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        ("records", lambda t: pa.concat_tables([t] * 400), "12800 rows, and the run's settings make 32"),
        ("minibatches", lambda t: pa.concat_tables([t] * 400), "rows, and the run's settings make 64"),
        ("checkpoint", lambda _: zeros(HALF_A_GIGABYTE), "decode to more than"),
    ],
)
def test_more_than_is_declared_is_not_decoded(
    tmp_path: Path, kind: str, change: Callable[[pa.Table], pa.Table], problem: str
) -> None:
    run = resigned(write_run(tmp_path / "run"), kind, change)
    with pytest.raises(TooLargeError, match=problem) as said:
        open_run(run).snapshot(2)
    assert "too large" in str(said.value)
    assert "damaged" not in str(said.value)
    (damage,) = verify_run(run)
    assert "too large" in damage.problem


def test_pages_with_dictionaries_are_no_part_of_the_format(tmp_path: Path) -> None:
    run = resigned(write_run(tmp_path / "run"), "checkpoint", long_texts)
    with pytest.raises(DamagedRunError, match="pages are not encoded as this format encodes them"):
        open_run(run).snapshot(2)


def test_reading_a_bomb_takes_little_memory(tmp_path: Path) -> None:
    """Measured in a process of its own, which may have no more than a few hundred megabytes above what it starts with."""
    run = resigned(write_run(tmp_path / "run"), "checkpoint", lambda _: zeros(HALF_A_GIGABYTE))
    assert sum(file.stat().st_size for file in (run / "data").iterdir()) < 2 * 2**20
    code = (
        "import resource, sys\n"
        "from engine.store import open_run, verify_run\n"
        "from engine.errors import TooLargeError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "verify_run(sys.argv[1])\n"
        "try:\n"
        "    open_run(sys.argv[1]).snapshot(2)\n"
        "except TooLargeError:\n"
        "    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 200, "megabytes"


def test_honest_files_of_zeros_are_read(tmp_path: Path) -> None:
    """What compresses best among honest data is an optimizer's state before its first step."""
    size = ROOM // 2
    assert from_parquet(to_parquet(zeros(size)), "checkpoint").num_rows == -(-size // (16 * 2**20))


def test_a_footer_that_lies_about_its_pages_is_found_out() -> None:
    """Any byte of a file changed: decoding ends in the same table or one line, and never in more than the file may hold."""
    table = minibatches_table(make_snapshot(0).minibatches, 32)
    data, rng, refused = to_parquet(table), random.Random(0), 0
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        try:
            found = from_parquet(bytes(changed), "minibatches")
        except DamagedRunError:
            refused += 1
        else:
            assert found.nbytes <= 2 * table.nbytes + 64
    assert refused > 2000


def test_every_file_that_is_written_passes(tmp_path: Path) -> None:
    for path in [tmp_path / "run", *find_runs(Path(__file__).parents[2] / "sample_runs")]:
        run = path if path.exists() else write_run(path)
        opened = open_run(run)
        k = opened.stored_rounds[0]
        assert opened.snapshot(k).round == k


def test_a_box_as_large_as_a_house_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    manifest = (run / "run.json").read_text()
    assert FLOATS.shape == (3,)
    (run / "run.json").write_text(manifest.replace('"shape": [\n   3\n  ]', f'"shape": [{2**62}, 2]'))
    with pytest.raises(DamagedRunError, match=r"run.json can't be understood: a space has at most"):
        open_run(run)


def test_a_commit_without_end_is_too_large(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with (run / "commits" / "000001.json").open("r+b") as file:
        file.truncate(2**34)
    with pytest.raises(TooLargeError, match=r"commits/000001.json is too large"):
        open_run(run)

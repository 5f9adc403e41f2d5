"""Hostile dumps of other trainers and hostile results, and `python -m benchmarks.hostile_read PATH`, which reads one."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.hostile_archives import Maker
from benchmarks.hostile_runs import ODD, changed_documents, field_set, parquet, things
from engine.errors import EngineError
from engine.jobs.interventions import damaged_jobs, list_jobs
from engine.recording.readers.dumps import open_dump
from engine.store import open_run

ROW: Mapping[str, Any] = {"input": "a prompt", "output": "a response", "gts": "", "score": 1.0, "step": 1}
"""Of one sequence, as verl writes it."""
COLUMNS: Mapping[str, Any] = {
    "step": [1],
    "prompt": ["a prompt"],
    "completion": ["a response"],
    "reward": [1.0],
    "advantage": [0.5],
}
"""Of one, as TRL does."""


def dumps() -> Iterator[tuple[str, Maker]]:
    """Names, and what makes each folder of a dump."""
    for field in ROW:
        for odd, value in ODD.items():
            yield f"dump of verl, {field} is {odd}", partial(_verl, json.dumps({**ROW, field: value}).encode())
    for name, text in {
        "nothing": b"",
        "half a row": json.dumps(ROW).encode()[:-9],
        "200,000 deep": b"[" * 200_000,
        "half a character": b'{"input": "\\ud800", "output": "a", "score": 1.0}',
        "no UTF-8": b'{"input": "\xff", "output": "a", "score": 1.0}',
        "30,000 fields": json.dumps({**ROW, **{f"x{i}": i for i in range(30_000)}}).encode(),
        "zeros": bytes(10**6),
        "a hundred thousand rows": (json.dumps(ROW).encode() + b"\n") * 100_000,
    }.items():
        yield f"dump of verl, {name}", partial(_verl, text)
    for name, table in {
        "no rows": pa.table(COLUMNS).slice(0, 0),
        "no columns": pa.table({}),
        "columns of nulls": pa.table({name: pa.nulls(3) for name in COLUMNS}),
        "columns of numbers": pa.table({name: [1, 2] for name in COLUMNS}),
        "columns of lists": pa.table({name: [[1], [2]] for name in COLUMNS}),
        "rewards of texts": pa.table({**COLUMNS, "reward": ["a"]}),
        "10,000 columns": pa.table({**COLUMNS, **{f"x{i}": [i] for i in range(10_000)}}),
    }.items():
        yield f"dump of TRL, {name}", partial(_trl, parquet(table))
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["x" * 2**20]))
    for name, data in {
        "20 GB of text in little": parquet(pa.table({"prompt": long, "completion": long}), use_dictionary=True),
        "no Parquet": b"PAR1" + bytes(100) + b"PAR1",
        "cut off": parquet(pa.table(COLUMNS))[:-40],
        "empty": b"",
    }.items():
        yield f"dump of TRL, {name}", partial(_trl, data)
    for what, put in things().items():
        yield f"dump of verl is {what}", partial(_instead, "1.jsonl", put)
        yield f"dump of TRL is {what}", partial(_instead, "completions_00001.parquet", put)


def results(sound: Path) -> Iterator[tuple[str, Maker]]:
    """Names, and what makes each run with an intervention whose plan or result is odd.

    Args:
        sound: a run with an intervention that was carried out.
    """
    (folder,) = (sound / "interventions").iterdir()
    for file in ("intervention.json", "branch/result.json"):
        place = f"interventions/{folder.name}/{file}"
        for field in json.loads((folder / file).read_bytes()).keys() - {"sha256"}:
            for odd, value in ODD.items():
                make = partial(changed_documents, sound, {place: field_set(field, value)})
                yield f"result, {file}, {field} is {odd}", make


def _verl(text: bytes, path: Path) -> None:
    path.mkdir()
    (path / "1.jsonl").write_bytes(text)


def _trl(data: bytes, path: Path) -> None:
    path.mkdir()
    (path / "completions_00001.parquet").write_bytes(data)


def _instead(name: str, put: Maker, path: Path) -> None:
    path.mkdir()
    put(path / name)


def read(path: Path) -> str:
    """Read all of a dump, or of a run's interventions, as a page does.

    Returns:
        What is said where an intervention's plan or result can't be had; empty where all was read.

    Raises:
        EngineError: the dump can't be read.
    """
    if not (path / "run.json").exists():
        dump = open_dump(path)
        for step in dump.steps:
            dump.table(step)
        return ""
    run = open_run(path)
    return next(iter([*damaged_jobs(run), *(job.doing for job in list_jobs(run) if job.result is None)]), "")


def main() -> None:
    """What can't be read is one line, as of every command; how long it took is another, imports apart."""
    begun = time.monotonic()
    try:
        problem = read(Path(sys.argv[1]))
    except EngineError as error:
        problem = str(error)
    print(time.monotonic() - begun, flush=True)
    if problem:
        print("error: " + " ".join(problem.split()), file=sys.stderr)
        sys.stderr.flush()
        os._exit(2)


if __name__ == "__main__":
    main()

"""Hostile runs: everything in them is odd, and every hash is right."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.hostile_archives import MARK, Maker

ODD: Mapping[str, Any] = {
    "null": None,
    "true": True,
    "a list": [],
    "numbers": [1, -2, 2**63],
    "an object": {"a": [1]},
    "a text": "abc",
    "markup": "<img src=x onerror=alert(1)> ![a](http://127.0.0.1:9/a) $x$",
    "a path": "../../../etc/passwd",
    "a million characters": "x" * 10**6,
    "minus one": -1,
    "400 digits": 10**400,
    "1e308": 1e308,
    "900 deep": json.loads("[" * 900 + "]" * 900),
}
Values = dict[str, Any]
Table = Callable[[pa.Table], pa.Table | bytes]


def runs(sound: Path) -> Iterator[tuple[str, Maker]]:
    """Names, and what makes each run.

    Args:
        sound: a small run of a control task, with a basket, a group and notes.
    """
    yield from _odd_settings(sound)
    yield from _odd_commits(sound)
    for kind in ("records", "checkpoint", "minibatches"):
        for name, change in _tables().items():
            yield f"{kind}, {name}", partial(_copy, sound, tables={kind: change})
    for file in ("basket/000001.json", "notes/about.json"):
        for field in json.loads((sound / file).read_bytes()).keys() - {"sha256"}:
            for odd, value in ODD.items():
                make = partial(changed_documents, sound, {file: field_set(field, value)})
                yield f"{file}, {field} is {odd}", make
    for name, text in _texts().items():
        yield f"run.json is {name}", partial(_copy, sound, raw={"run.json": text})
        yield f"a commit is {name}", partial(_copy, sound, raw={"commits/000001.json": text})
    for file in ("run.json", "commits", "data", "commits/000001.json", "basket", "notes/about.json"):
        for what, put in things().items():
            yield f"{file} is {what}", partial(_copy, sound, instead=(file, put))
    for name in (
        "evil.py",
        "__init__.py",
        "x.pkl",
        "x.pt",
        "model/evil.py",
        "model/config.json",
        "x.so",
        "engine/x.py",
    ):
        yield f"also {name}", partial(_copy, sound, raw={name: f"print('{MARK}')".encode()})


def _odd_settings(sound: Path) -> Iterator[tuple[str, Maker]]:
    """Of run.json."""
    large = {**ODD, "a billion": 10**9, "twice a billion": [10**9] * 2}
    settings = ("n_steps", "n_envs", "batch_size", "n_epochs", "hidden", "learning_rate", "rounds", "seed")
    whole = [
        (field, odd, value) for field in json.loads((sound / "run.json").read_bytes()) for odd, value in ODD.items()
    ]
    for field, odd, value in [*whole, *((f"config.{name}", *each) for name in settings for each in large.items())]:
        yield f"run.json, {field} is {odd}", partial(_copy, sound, manifest=field_set(field, value))


def _odd_commits(sound: Path) -> Iterator[tuple[str, Maker]]:
    fields = [name for name in json.loads((sound / "commits" / "000001.json").read_bytes()) if name != "sha256"]
    for field in (*fields, "metrics.mean_return", "metrics.episodes"):
        for odd, value in ODD.items():
            yield f"a commit, {field} is {odd}", partial(_copy, sound, commit=field_set(field, value))
    for field in ("name", "kind", "bytes", "sha256", "rows"):
        for odd, value in ODD.items():
            yield f"a commit, a file's {field} is {odd}", partial(_copy, sound, commit=partial(_file_set, field, value))


def field_set(field: str, value: Any) -> Callable[[Values], Values]:
    """A change that sets a field, or one of a field's fields."""

    def changed(values: Values) -> Values:
        first, _, rest = field.partition(".")
        inner = field_set(rest, value)(dict(values[first])) if rest else value
        return {**values, first: inner}

    return changed


def _file_set(field: str, value: Any, values: Values) -> Values:
    return {**values, "files": [{**file, field: value} for file in values["files"]]}


def _copy(
    sound: Path,
    path: Path,
    manifest: Callable[[Values], Values] | None = None,
    commit: Callable[[Values], Values] | None = None,
    tables: Mapping[str, Table] | None = None,
    raw: Mapping[str, bytes] | None = None,
    instead: tuple[str, Callable[[Path], None]] | None = None,
) -> None:
    """The sound run with something changed, and a chain of commits that fits."""
    shutil.copytree(sound, path)
    if manifest is not None:
        values = manifest(json.loads((path / "run.json").read_bytes()))
        (path / "run.json").write_text(json.dumps(values))
    previous = sha256((path / "run.json").read_bytes()).hexdigest()
    for file in sorted((path / "commits").iterdir()):
        values = {key: value for key, value in json.loads(file.read_bytes()).items() if key != "sha256"}
        for kind, change in (tables or {}).items():
            values["files"] = [_other(path / "data", each, kind, change) for each in values["files"]]
        values["previous"] = previous
        if commit is not None and file.name == "000001.json":
            values = commit(values)
        said = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        previous = sha256(said).hexdigest()
        file.write_bytes(said[:-1] + f',"sha256":"{previous}"}}\n'.encode())
    for name, data in (raw or {}).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    if instead is not None:
        name, put = instead
        shutil.rmtree(path / name) if (path / name).is_dir() else (path / name).unlink()
        put(path / name)


def changed_documents(sound: Path, documents: Mapping[str, Callable[[Values], Values]], path: Path) -> None:
    """Make a run whose documents, by their names in it, were changed and sealed again."""
    shutil.copytree(sound, path)
    for file, change in documents.items():
        values = change(
            {key: value for key, value in json.loads((path / file).read_bytes()).items() if key != "sha256"}
        )
        seal = sha256(json.dumps(values, indent=1, ensure_ascii=False).encode()).hexdigest()
        (path / file).write_text(json.dumps({"sha256": seal, **values}, indent=1, ensure_ascii=False) + "\n")


def _other(data: Path, file: Values, kind: str, change: Table) -> Values:
    """What a commit says of a file whose table was changed."""
    if file["kind"] != kind:
        return file
    table = pq.read_table(data / file["name"])
    made = change(table)
    rows = file["rows"] if isinstance(made, bytes) else made.num_rows
    written = made if isinstance(made, bytes) else parquet(made)
    (data / file["name"]).write_bytes(written)
    return {**file, "bytes": len(written), "rows": rows, "sha256": sha256(written).hexdigest()}


def parquet(table: pa.Table, use_dictionary: bool = False) -> bytes:
    """A file of any table, encoded as the format has it: what a writer would refuse to write, a reader may meet."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=use_dictionary, write_page_checksum=True)
    return sink.getvalue()


def _tables() -> dict[str, Table]:
    """What may become of a table."""

    def column(change: Callable[[pa.ChunkedArray], Any], at: int = 0) -> Table:
        def changed(table: pa.Table) -> pa.Table:
            place = at % table.num_columns
            return table.set_column(place, table.schema.names[place], change(table.column(place)))

        return changed

    return {
        "no rows": lambda table: table.slice(0, 0),
        "one row": lambda table: table.slice(0, 1),
        "400 times the rows": lambda table: pa.concat_tables([table] * 400),
        "no columns": lambda table: table.select([]),
        "a column less": lambda table: table.select(table.schema.names[:-1]),
        "a column more": lambda table: table.append_column("x", pa.array([MARK] * table.num_rows)),
        "a column twice": lambda table: table.append_column(table.schema.names[0], table.column(0)),
        "columns in another order": lambda table: table.select(table.schema.names[::-1]),
        "a column of another name": lambda table: table.rename_columns(["x", *table.schema.names[1:]]),
        "a first column of texts": column(lambda values: pa.array([MARK] * len(values))),
        "a first column of nulls": column(lambda values: pa.nulls(len(values), values.type)),
        "a first column of zeros": column(lambda values: pa.array(np.zeros(len(values)), pa.float64())),
        "a last column of nulls": column(lambda values: pa.nulls(len(values), values.type), at=-1),
        "what it says of itself": lambda table: table.replace_schema_metadata({MARK: MARK, "pandas": "{" * 1000}),
        "rows backwards": lambda table: table.take(list(range(table.num_rows))[::-1]),
        "not Parquet": lambda _: b"PAR1" + bytes(100) + b"PAR1",
        "empty": lambda _: b"",
        "a gigabyte of zeros": lambda _: parquet(pa.table({"x": np.zeros(2**27)})),
    }


def _texts() -> dict[str, bytes]:
    return {
        "empty": b"",
        "zeros": bytes(1000),
        "200,000 deep": b"[" * 200_000 + b"]" * 200_000,
        "10,000 digits": b'{"schema_version": ' + b"9" * 10_000 + b"}",
        "UTF-16": '{"schema_version": 2}'.encode("utf-16"),
        "half a character": b'{"schema_version": "\\ud800"}',
        "not a number": b'{"schema_version": NaN}',
        "a list": b"[]",
        "twenty megabytes": b'{"x": "' + b"x" * (20 * 2**20) + b'"}',
    }


def things() -> dict[str, Callable[[Path], None]]:
    """What may lie in the place of a file or a folder."""

    def bound(path: Path) -> None:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's name is short
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(here)

    return {
        "a link out": lambda path: path.symlink_to("/etc"),
        "a link to itself": lambda path: path.symlink_to(path.name),
        "a link to endless zeros": lambda path: path.symlink_to("/dev/zero"),
        "a pipe": os.mkfifo,
        "a folder": lambda path: path.mkdir(),
        "a socket": bound,
        "a terabyte of nothing": lambda path: _hole(path, 2**40),
    }


def _hole(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)

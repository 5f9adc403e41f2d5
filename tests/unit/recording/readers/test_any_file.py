"""Whatever is in a file: a table of the promised columns that can be shown, or one line."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadInputError
from engine.recording.readers.sequence_table import Sequences
from engine.recording.readers.trl import trl_sequences
from engine.recording.readers.verl import verl_sequences

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

texts = st.text(st.characters(), max_size=8)  # half surrogates too
numbers = st.one_of(st.integers(), st.floats(), st.booleans(), st.sampled_from([10**400, -(10**400), 2**64]))
KNOWN = [
    "input",
    "output",
    "score",
    "step",
    "uid",
    "gts",
    "acc",
    "role",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
]
names = st.one_of(
    st.sampled_from([*KNOWN, "text", "type", "reasoning_content", "reward", "group", "record", "prompt"]), texts
)
values = st.recursive(
    st.one_of(st.none(), numbers, texts, st.sampled_from(["True", "0.5", "nan", "1e999", "", "None"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
needed = {"input": values, "output": values}
rows = st.lists(
    st.one_of(
        st.fixed_dictionaries(needed, optional={"score": values, "uid": values, "acc": values}),
        st.dictionaries(names, values, max_size=6).map(lambda row: {"input": "q", "output": "a"} | row),
    ),
    max_size=5,
)


def check(found: Sequences) -> None:
    """It has the promised columns, and what a page and a download do with it works."""
    table = found.table
    assert table.column_names[:4] == ["record", "group", "prompt", "response"]
    assert len(set(table.column_names)) == len(table.column_names)
    assert table.column("record").to_pylist() == list(range(table.num_rows))
    table.validate(full=True)
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        name.encode()
        assert name in ("record", "group", "prompt", "response", "reward", "advantage") or name.startswith(
            ("reward/", "extra/")
        )
        if name in ("reward", "advantage") or name.startswith("reward/"):
            assert kind == pa.float32()
    for name in ("prompt", "response"):
        assert table.schema.field(name).type == pa.large_string()
        assert table.column(name).null_count == 0
    frame = table.to_pandas()
    frame.to_csv()
    frame.to_parquet(io.BytesIO())


def check_any(read: Any, data: bytes) -> None:
    try:
        found = read(data, "file")
    except BadInputError as error:
        line = str(error)
    else:
        check(found)
        return
    assert "\n" not in line
    assert line.startswith(("file", "the column"))
    assert len(line) < 1_500
    line.encode()


@quick
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check_any(verl_sequences, data)
    check_any(trl_sequences, data)
    check_any(verl_sequences, b'{"input": "' + data + b'", "output": ""}\n')


@quick
@given(rows, st.booleans(), st.integers(0, 40))
def test_any_rows_of_json(made: list[Any], ascii_only: bool, cut: int) -> None:
    data = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in made).encode("utf-8", "surrogatepass")
    whole = verl_sequences(data, "file")
    check(whole)
    assert whole.table.num_rows == len(made)
    if cut and data:
        rest = (
            verl_sequences(data[: max(len(data) - cut, 0)], "file") if cut <= len(data.splitlines(True)[-1]) else whole
        )
        check(rest)
        assert rest.table.num_rows >= len(made) - 1, "only the last line may be missing"


kinds = st.sampled_from([
    pa.string(), pa.large_string(), pa.binary(), pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.bool_(), pa.null(),
    pa.timestamp("us"), pa.date32(), pa.decimal128(10, 2),
])  # fmt: skip
nested = st.recursive(
    kinds,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "a.b", "type"]), inner, min_size=1, max_size=3
        ).map(lambda fields: pa.struct(list(fields.items()))),
    ),
    max_leaves=4,
)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A few rows of columns of any types."""
    n = draw(st.integers(0, 4))
    chosen = [
        "prompt",
        "completion",
        *draw(st.lists(st.sampled_from(["step", "advantage", "acc", "a.b", "prompt.x", "__index"]))),
    ]
    columns = []
    for name in chosen:
        kind = draw(nested)
        columns.append((name, pa.array([draw(value_of(kind)) for _ in range(n)], kind)))
    return pa.Table.from_arrays([column for _, column in columns], names=[name for name, _ in columns])


def value_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of an Arrow type, nulls included."""
    return st.one_of(st.none(), _value_of(kind))


def _value_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_list(kind):
        return st.lists(value_of(kind.value_type), max_size=3)
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({one.name: value_of(one.type) for one in map(kind.field, range(kind.num_fields))})
    simple: dict[pa.DataType, st.SearchStrategy[Any]] = {
        pa.binary(): st.binary(max_size=5), pa.bool_(): st.booleans(), pa.float64(): st.floats(), pa.null(): st.none(),
        pa.float16(): st.floats(width=16), pa.string(): st.text(max_size=5), pa.large_string(): st.text(max_size=5),
        pa.decimal128(10, 2): st.decimals(-1000, 1000, places=2), pa.date32(): st.dates(),
        pa.timestamp("us"): st.datetimes(),
    }  # fmt: skip
    return simple.get(kind, st.integers(0, 100))


@quick
@given(tables(), st.booleans(), st.sampled_from(["none", "snappy", "zstd"]), st.integers(1, 3))
def test_any_table_of_parquet(table: pa.Table, dictionary: bool, compression: str, group: int) -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink, use_dictionary=dictionary, compression=compression, row_group_size=group)
    check_any(trl_sequences, sink.getvalue())


SOUND = io.BytesIO()
pq.write_table(
    pa.table(
        {"prompt": [[{"role": "user", "content": "2 + 2"}]] * 4, "completion": ["a", "b", "a", None], "r": [1.0] * 4}
    ),
    SOUND,
    compression="none",
)


@quick
@given(st.lists(st.tuples(st.integers(0, len(SOUND.getvalue()) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damage_to_a_file_of_parquet(damage: list[tuple[int, int]]) -> None:
    data = bytearray(SOUND.getvalue())
    for place, byte in damage:
        data[place] = byte
    check_any(trl_sequences, bytes(data))

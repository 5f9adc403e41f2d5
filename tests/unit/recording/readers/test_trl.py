"""TRL's Parquet files: which columns are what, values of every type, and never more decoded than the limits say."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import BadInputError
from engine.recording.readers.limits import LARGEST_FOOTER, MOST_ROWS
from engine.recording.readers.trl import trl_sequences
from engine.store.parquet_pages import Chunk, chunks, pages

INVALID = pa.Array.from_buffers(
    pa.string(), 1, [None, pa.py_buffer(np.array([0, 3], np.int32)), pa.py_buffer(b"a\xff\xfe")]
)
"""A text that is not UTF-8."""


def parquet(table: pa.Table | dict[str, Any], **settings: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), sink, **settings)
    return sink.getvalue()


def read(columns: dict[str, Any], **settings: Any) -> pa.Table:
    n = len(next(iter(columns.values())))
    given = {"prompt": ["p"] * n, "completion": ["c"] * n} | columns
    return trl_sequences(parquet(given, **settings), "completions_1.parquet").table


def refusal(data: bytes) -> str:
    with pytest.raises(BadInputError) as error:
        trl_sequences(data, "out/completions_1.parquet")
    line = str(error.value)
    assert "out/completions_1.parquet" in line
    assert "\n" not in line
    assert len(line) < 350
    return line


def test_calls_of_tools_are_part_of_the_text() -> None:
    call = {"type": "function", "function": {"name": "multiply", "arguments": {"a": 3, "b": 4}}}
    other = {"type": "function", "function": {"name": "say", "arguments": {"text": "hi\n"}}}
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call, other]},
        {"role": "tool", "content": "12"},
    ]
    shown = read({"completion": [messages]}).column("response").to_pylist()
    assert shown == ['assistant: multiply(a=3, b=4)\nsay(text="hi\\n")\ntool: 12']


def test_extras_are_no_parts_of_the_reward() -> None:
    table = read({
        "accuracy": [0.0, 1.0], "n_chars": [5, None], "ok": [False, True], "solution": ["4", None], "step": ["1", "1"],
        "picture": pa.array([[b"x"], None], pa.list_(pa.binary())), "advantage": [-0.7, 0.7],
    })  # fmt: skip
    assert table.column("reward").to_pylist() == table.column("reward/accuracy").to_pylist() == [0, 1]
    assert table.column("extra/n_chars").to_pylist() == [5, None]
    assert table.column("extra/ok").to_pylist() == [False, True]
    assert table.column("extra/solution").to_pylist() == ["4", None]
    expected = ["record", "group", "prompt", "response", "reward", "reward/accuracy", "advantage"]
    assert table.column_names == [*expected, "extra/n_chars", "extra/ok", "extra/solution"]


def rewarded(weights: tuple[float, ...], seed: int = 0) -> dict[str, Any]:
    """Rewards, two extras that are floats, and the advantages that TRL computes from the weighted rewards."""
    rng = np.random.default_rng(seed)
    rewards = {f"r{i}": rng.random(32).round(2) for i in range(len(weights))}
    total = sum(weight * values for weight, values in zip(weights, rewards.values(), strict=True)).reshape(8, 4)
    advantage = (total - total.mean(1, keepdims=True)) / (total.std(1, ddof=1, keepdims=True) + 1e-4)
    return {
        "prompt": [f"q{i // 4}" for i in range(32)],
        **rewards,
        "entropy": rng.random(32),
        "seconds": rng.random(32),
        "advantage": advantage.ravel().astype(np.float32).astype(float),
    }


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.0), (1.0, 0.2), (0.5, 2.0, 1.0)])
def test_the_advantages_tell_rewards_from_extras_that_are_floats(weights: tuple[float, ...]) -> None:
    table = read(rewarded(weights))
    parts = [name for name in table.column_names if name.startswith("reward/")]
    assert parts == [f"reward/r{i}" for i in range(len(weights))]
    assert {"extra/entropy", "extra/seconds"} <= set(table.column_names)
    assert ("reward" in table.column_names) == (len(weights) == 1)


def test_where_the_advantages_tell_nothing_every_float_may_be_a_reward() -> None:
    known = rewarded((1.0,))
    rng = np.random.default_rng(1)
    for doubt in (
        {"advantage": rng.random(32)},
        {"advantage": np.full(32, np.nan)},
        {"advantage": np.zeros(32)},
        {"prompt": [f"q{i // 2}" for i in range(32)]},
        {"r0": np.full(32, np.nan)},
        {"r0": np.full(32, 1e300)},
    ):
        table = read(known | doubt)
        assert {"reward/r0", "reward/entropy", "reward/seconds"} <= set(table.column_names)
        assert "reward" not in table.column_names
    same = read(known | {"entropy": np.repeat(rng.random(8), 4)})
    assert {"reward/entropy", "extra/seconds"} <= set(same.column_names), (
        "a reward that is alike in each group says nothing"
    )


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None], pa.int8()), pa.array([2**64 - 1, 0], pa.uint64()), pa.array([1.5, None], pa.float16()),
        pa.array([1, 2]).cast(pa.decimal128(38, 2)), pa.array(["a", "b"]).dictionary_encode(), pa.nulls(2),
        pa.array(["a", None], pa.large_string()), pa.array([b"\xff", b""], pa.large_binary()),
        pa.array([[1], None]), pa.array([{"a": 1}, None]), pa.array([1, 2], pa.timestamp("ns")),
        pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())), pa.array([b"ab", b"cd"], pa.binary(2)),
    ],
    ids=lambda column: str(column.type),
)  # fmt: skip
@pytest.mark.parametrize("name", ["prompt", "advantage", "other"])
def test_columns_of_every_type_are_read_or_passed_over_or_refused(column: pa.Array, name: str) -> None:
    columns = {"prompt": ["p"] * 2, "completion": ["c"] * 2} | {name: column}
    if name == "prompt" and (pa.types.is_map(column.type) or pa.types.is_fixed_size_binary(column.type)):
        assert "column prompt" in refusal(parquet(columns))
        return
    table = trl_sequences(parquet(columns), "f").table
    assert table.num_rows == 2
    table.validate(full=True)
    assert len(table.to_pandas()) == 2


def test_bytes_that_are_not_utf8_are_replaced_or_named() -> None:
    assert read({"prompt": INVALID}).column("prompt").to_pylist() == ["a\ufffd\ufffd"]
    assert read({"note": INVALID}).column("extra/note").to_pylist() == ["a\ufffd\ufffd"]
    message = pa.StructArray.from_arrays([INVALID], ["content"])
    assert "utf-8" in refusal(parquet({"prompt": message, "completion": ["c"]}))


def test_a_file_without_rows_is_an_empty_table() -> None:
    table = read({"step": pa.array([], pa.int64()), "acc": pa.array([], pa.float64()), "advantage": pa.nulls(0)})
    assert table.num_rows == 0
    assert {"prompt", "response", "reward"} <= set(table.column_names)
    none = pq.ParquetWriter(sink := io.BytesIO(), pa.schema({"prompt": pa.string(), "completion": pa.string()}))
    none.close()
    for settings in ({"use_dictionary": False}, {"data_page_version": "2.0"}, {"compression": "none"}):
        assert read({"acc": pa.array([], pa.float64())}, **settings).num_rows == 0
    assert trl_sequences(sink.getvalue(), "f").table.num_rows == 0, "no row group at all"


def test_a_column_that_is_there_twice_is_named() -> None:
    arrays = [pa.array(["a"]), pa.array(["x"]), pa.array([1.0]), pa.array([2.0])]
    twice = pa.Table.from_arrays(arrays, names=["prompt", "completion", "r", "r"])
    assert "has the column 'r' twice" in refusal(parquet(twice))


def test_many_row_groups_and_both_ways_of_writing_are_one_table() -> None:
    columns = {
        "prompt": [f"p{i % 7}" for i in range(50)],
        "completion": [f"c{i}" for i in range(50)],
        "r": np.arange(50.0),
    }
    expected = read(columns)
    for settings in (
        {"row_group_size": 3},
        {"use_dictionary": False},
        {"data_page_version": "2.0", "compression": "zstd"},
    ):
        assert read(columns, **settings).equals(expected)


def test_half_a_file_is_not_whole_yet() -> None:
    data = parquet({"prompt": ["a"], "completion": ["b"]})
    for end in range(0, len(data), 7):
        assert "damaged, or not whole yet" in refusal(data[:end])


def test_too_large_is_told_from_damaged() -> None:
    rows = parquet({"prompt": pa.nulls(MOST_ROWS + 1), "completion": pa.nulls(MOST_ROWS + 1)})
    assert "too large: it has more than 250,000 rows" in refusal(rows)
    wide = parquet({f"c{i}": [1] for i in range(300)} | {"prompt": ["a"], "completion": ["b"]})
    assert "too large: it has more than 256 columns" in refusal(wide)
    named = parquet({"prompt": ["a"], "completion": ["b"], 201 * "x": [1]})
    assert "too large: it has more than 200 characters" in refusal(named)
    delta = parquet(
        {"prompt": ["a"], "completion": ["b"]}, use_dictionary=False, column_encoding={"prompt": "DELTA_BYTE_ARRAY"}
    )
    assert "DELTA_BYTE_ARRAY" in refusal(delta)
    noted = parquet(pa.table({"prompt": ["a"], "completion": ["b"]}, metadata={"x": "y" * LARGEST_FOOTER}))
    assert "too large: it has more than 4 MiB in its footer" in refusal(noted)


def test_the_headers_of_pages_say_what_arrow_says() -> None:
    data = parquet(
        {"a": [[f"t{i}"] * (i % 3) for i in range(1000)], "b": np.arange(1000)}, data_page_size=500, row_group_size=300
    )
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    told = [metadata.row_group(i).column(j) for i in range(metadata.num_row_groups) for j in range(2)]
    found = chunks(data)
    assert [chunk.path for chunk in found] == [column.path_in_schema for column in told]
    for chunk, column in zip(found, told, strict=True):
        of_data = [page for page in pages(data, chunk) if page.encoding != 0 or not column.has_dictionary_page]
        assert sum(page.values for page in of_data) == column.num_values
        assert sum(page.size for page in pages(data, chunk)) <= column.total_uncompressed_size


def test_a_page_that_is_none_is_an_error() -> None:
    for data in (b"", b"\xff" * 50, b"\x15\x00\x15\x01\x15\x02\x00"):
        with pytest.raises(ValueError, match=r"page|column"):
            list(pages(data, Chunk("a", 0, max(len(data), 9))))


def rows_of_a_long_text() -> bytes:
    """2 GB of text: 200,000 times the same one, which is there once."""
    text = pa.array(["a" * 10_000]).dictionary_encode()
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, np.int32)), text.dictionary)
    return parquet({"prompt": column, "completion": column})


def conversations_of_a_long_text(rows: int, messages: int, length: int) -> bytes:
    """4 GB of text in messages."""
    text = pa.array(np.zeros(rows * messages, np.int32)), pa.array(["a" * length])
    said = pa.StructArray.from_arrays([pa.DictionaryArray.from_arrays(*text)], ["content"])
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * messages)
    return parquet({"prompt": pa.ListArray.from_arrays(offsets, said), "completion": ["x"] * rows})


def compressed() -> bytes:
    """600 MB of text in pages that are a few kilobytes."""
    schema = pa.schema({"prompt": pa.string(), "completion": pa.string()})
    with pq.ParquetWriter(sink := io.BytesIO(), schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(20):
            text = pa.array(["a" * 30_000] * 1_000)
            writer.write_table(pa.table({"prompt": text, "completion": [""] * 1_000}, schema))
    return sink.getvalue()


def values() -> bytes:
    """A list of 20 million nulls."""
    lists = pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), pa.nulls(20_000_000, pa.int8()))
    return parquet({"prompt": lists, "completion": ["x"]})


MEASURE = """
import json, re, resource, sys
from pathlib import Path
from engine.recording.readers.dumps import open_dump
from engine.errors import BadInputError

def peak():  # of this process alone: getrusage counts the one that started it
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2)
dump = open_dump(sys.argv[1])
dump.table(1)
before = peak()
try:
    said = str(dump.table(2).num_rows)
except BadInputError as error:
    said = str(error)
print(json.dumps([said, peak() - before]))
"""


def measured(folder: Path) -> tuple[str, float]:
    """What reading step 2 of a dump gives in a process of its own, and how many MiB it takes."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    said, mebibytes = json.loads(done.stdout)
    return said, mebibytes


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read as Linux says it")


@linux
@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (rows_of_a_long_text, "too large: it has more than 512 MiB of text once it is decoded"),
        (
            partial(conversations_of_a_long_text, 1, 4_000_000, 1_000),
            "too large: it has more than 16 MiB in one conversation",
        ),
        (
            partial(conversations_of_a_long_text, 2_000, 20, 100_000),
            "too large: it has more than 512 MiB of text once it is decoded",
        ),
        (compressed, "too large: it has more than 512 MiB once it is decompressed"),
        (values, "too large: it has more than 8,000,000 values"),
    ],
    ids=["rows", "one conversation", "conversations", "pages", "values"],
)
def test_a_small_file_that_decodes_to_gigabytes_takes_no_such_memory(
    tmp_path: Path, make: Callable[[], bytes], complaint: str
) -> None:
    bomb = make()
    assert len(bomb) < 2**20
    (tmp_path / "completions_1.parquet").write_bytes(parquet({"prompt": [["a"]], "completion": ["b"]}))
    (tmp_path / "completions_2.parquet").write_bytes(bomb)
    said, mebibytes = measured(tmp_path)
    assert complaint in said
    assert mebibytes < 1_300


@linux
@pytest.mark.slow
def test_json_that_is_all_empty_lists_takes_no_such_memory(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(b'{"input": "", "output": ""}\n')
    line = b'{"input": "", "output": "", "x": [' + b"[]," * 1_000_000 + b"0]}\n"
    (tmp_path / "2.jsonl").write_bytes(5 * line)
    said, mebibytes = measured(tmp_path)
    assert said == "5"
    assert 50 < mebibytes < 300, "one line at a time"


def test_names_of_several_lines_are_told_on_one() -> None:
    assert "it has a b, c" in refusal(parquet({"a\nb": [1], "c": [2]}))

"""verl's JSON lines: what they may hold beside what they should, and how much of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import BadInputError
from engine.recording.readers import verl
from engine.recording.readers.dumps import open_dump
from engine.recording.readers.limits import LARGEST_FILE, LONGEST, MOST_COLUMNS
from engine.recording.readers.verl import UNFINISHED, verl_sequences


def read(*rows: dict[str, Any]) -> pa.Table:
    """The table of rows that have a question and an answer, too."""
    lines = [json.dumps({"input": "q", "output": f"a{i}"} | row) for i, row in enumerate(rows)]
    return verl_sequences("\n".join(lines).encode(), "7.jsonl").table


def refusal(data: bytes) -> str:
    with pytest.raises(BadInputError) as error:
        verl_sequences(data, "rollouts/7.jsonl")
    line = str(error.value)
    assert line.startswith("rollouts/7.jsonl")
    assert "\n" not in line
    assert len(line) < 300
    return line


def test_numbers_as_text_are_numbers_and_answers_stay_texts() -> None:
    table = read(
        {"score": "0.5", "acc": "True", "format": "0.25", "pred": "42", "gts": "4", "note": "good"},
        {"score": "1.0", "acc": "False", "format": "None", "pred": "43", "gts": "4", "note": ""},
    )
    assert table.column("reward").to_pylist() == [0.5, 1]
    assert table.column("reward/acc").to_pylist() == [1, 0]
    np.testing.assert_array_equal(table.column("reward/format").to_numpy(), [0.25, np.nan])
    for name, values in {"pred": ["42", "43"], "gts": ["4", "4"], "note": ["good", ""]}.items():
        assert table.column(f"extra/{name}").to_pylist() == values
        assert f"reward/{name}" not in table.column_names


def test_a_column_is_of_numbers_if_any_row_has_one() -> None:
    table = read({"acc": 1}, {"acc": "failed"}, {})
    np.testing.assert_array_equal(table.column("reward/acc").to_numpy(), [1, np.nan, np.nan])
    assert read({"why": "a"}, {}).column("extra/why").to_pylist() == ["a", None]


@pytest.mark.parametrize("number", ["1" + 400 * "0", "1" + 5000 * "0", "1e999", "1e39"])
def test_a_number_that_no_float_holds_is_infinite(number: str) -> None:
    line = f'{{"input": {number}, "output": "a", "score": {number}, "b": -{number}}}'
    table = verl_sequences(line.encode(), "7.jsonl").table
    assert table.column("reward").to_pylist() == [np.inf]
    assert table.column("reward/b").to_pylist() == [-np.inf]


def test_what_is_no_character_is_replaced() -> None:
    lines = (
        b'{"input": "cut \\ud83d", "output": "\xff\xfe", "\\udc00": 1, "gts": "\\ud83d"}',
        b'{"input": "\\ud83d\\ude00", "output": ""}',
    )
    table = verl_sequences(b"\n".join(lines), "7.jsonl").table
    assert table.column("prompt").to_pylist() == ["cut \ufffd", "\U0001f600"]
    assert table.column("response").to_pylist() == ["\ufffd\ufffd", ""]
    assert table.column("extra/gts").to_pylist() == ["\ufffd", None]
    assert "reward/\ufffd" in table.column_names


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["a", None, 3], "a\n\n3"),
        (
            [{"role": "user", "content": ["look", {"type": "image"}, {"type": "text", "text": "here"}, None]}],
            "user: look [image] here",
        ),
        ([{"role": "tool", "content": None}, {"content": 4}], "tool: \nmessage: 4"),
        ({"a": 1}, '{"a": 1}'),
        ({"content": {"b": [2]}}, 'message: {"b": [2]}'),
        (
            {
                "role": "assistant",
                "reasoning_content": "hm",
                "content": "so",
                "tool_calls": [{"function": {"name": "f", "arguments": '{"x": 1}'}}],
            },
            'assistant: hm\nso\nf({"x": 1})',
        ),
        ({"tool_calls": ["odd", {"name": "g", "arguments": {"x": "y", "z": None}}]}, 'message: "odd"\ng(x="y")'),
        (None, ""),
        (True, "True"),
    ],
)  # fmt: skip
def test_every_kind_of_value_is_shown_as_text(value: Any, text: str) -> None:
    assert read({"input": value}).column("prompt").to_pylist() == [text]


def test_uid_names_the_group() -> None:
    named = read(*({"uid": f"{sample}_{i}_0"} for sample in "ab" for i in range(2)))
    assert named.column("group").to_pylist() == [0, 0, 1, 1], "though all have one prompt"
    assert read({"uid": "x"}, {"uid": "y"}, {"uid": "x"}).column("group").to_pylist() == [0, 1, 0]
    assert read({"uid": 5}, {"uid": 6}, {"uid": 5}).column("group").to_pylist() == [0, 1, 0]
    assert read({"uid": "x"}, {}).column("group").to_pylist() == [0, 0], "where one has none, the prompt decides"


WHOLE = b'{"input": "a", "output": "b", "score": 1}\n'


@pytest.mark.parametrize("rest", [b"{", b'{"input": "c", "out', b'{"input": "c", "output": "\xf0\x9f', WHOLE[:-2]])
def test_a_last_line_that_is_not_whole_is_left_out_and_said(rest: bytes) -> None:
    found = verl_sequences(2 * WHOLE + rest, "7.jsonl")
    assert (found.table.num_rows, found.note) == (2, UNFINISHED)
    assert verl_sequences(rest, "7.jsonl").table.num_rows == 0


def test_a_last_line_that_only_lacks_its_end_is_whole() -> None:
    found = verl_sequences(2 * WHOLE + WHOLE[:-1], "7.jsonl")
    assert (found.table.num_rows, found.note) == (3, "")


def test_a_line_that_is_not_json_is_named_wherever_it_is_whole() -> None:
    assert "line 2 is not JSON" in refusal(WHOLE + b"{\n" + WHOLE)
    assert "line 2 is not JSON" in refusal(WHOLE + b"{\n"), "it has its end, so nothing more comes"
    assert "line 1 is not JSON" in refusal(b"some text"), "no beginning of a line of verl's"


@pytest.mark.parametrize("data", [b"", b"\n \r\n\t\n", b"\xef\xbb\xbf"])
def test_a_file_without_rows_is_an_empty_table(data: bytes) -> None:
    table = verl_sequences(data, "7.jsonl").table
    assert table.num_rows == 0
    assert table.column_names == ["record", "group", "prompt", "response"]


@pytest.mark.parametrize("depth", [70, 900, 100_000])
@pytest.mark.parametrize("key", ["input", "other"])
def test_deep_json_is_too_large_in_one_line(depth: int, key: str) -> None:
    line = json.dumps({"input": "a", "output": "b"})[:-1] + f', "{key}": {depth * "["}{depth * "]"}}}\n'
    assert "more than 64 lists" in refusal(line.encode())


def test_what_is_more_than_is_read_is_too_large_and_not_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = b"".join(
        json.dumps({"input": "a", "output": "b", **{f"k{i}_{j}": 1 for j in range(100)}}).encode() + b"\n"
        for i in range(9)
    )
    assert f"line 3 is too large: it has more than {MOST_COLUMNS} different names" in refusal(keys)
    assert "line 2 is too large: it has more than 16 MiB in a line" in refusal(WHOLE + b" " * (LONGEST + 1))
    assert "characters in a name" in refusal(b'{"input": "a", "output": "b", "' + 201 * b"x" + b'": 1}')
    monkeypatch.setattr(verl, "MOST_ROWS", 2)
    assert "more than 2 lines" in refusal(3 * WHOLE)
    monkeypatch.setattr(verl, "MOST_ROWS", 10)
    monkeypatch.setattr(verl, "MOST_VALUES", 2)
    assert "line 3 is too large: it has more than 2 values" in refusal(3 * WHOLE)
    monkeypatch.setattr("engine.recording.readers.limits.LARGEST_TEXTS", 5)
    assert "of text once it is decoded" in refusal(3 * WHOLE)


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "1.jsonl").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(BadInputError, match="too large: it has more than 512 MiB"):
        open_dump(tmp_path).table(1)


def test_a_last_line_that_is_whole_but_not_verls_is_named() -> None:
    assert "line 2 has no output" in refusal(WHOLE + b'{"input": "a"}')

"""TRL's and verl's files open view-only; what is neither is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trainer_dumps import PROMPTS, trl, verl

from engine.errors import BadInputError
from engine.recording.readers.dumps import find_dumps, open_dump


def test_trl_completions_become_a_table(tmp_path: Path) -> None:
    trl(tmp_path / "completions", 5)
    trl(tmp_path / "completions", 100)
    dump = open_dump(tmp_path / "completions")
    assert (dump.trainer, dump.steps) == ("TRL", [5, 100])
    table = dump.table(5)
    assert table.column("response").to_pylist() == [" 4", " 5", " Paris", "\nLyon"]
    assert table.column("group").to_pylist() == [0, 0, 1, 1]
    assert table.column("reward").to_pylist() == table.column("reward/accuracy").to_pylist() == [1, 0, 1, 0]
    np.testing.assert_allclose(table.column("advantage").to_numpy(), [0.7, -0.7, 0.7, -0.7], rtol=1e-6)
    assert "no checkpoint" in dump.cannot
    assert "no influence" in dump.cannot
    assert "\n" not in dump.cannot


def test_of_several_trl_rewards_no_total_is_made_up(tmp_path: Path) -> None:
    table = open_dump(trl(tmp_path, format_reward=[0.5, None, 0.5, None])).table(5)
    assert "reward" not in table.column_names, "the weights are not in the file"
    np.testing.assert_array_equal(table.column("reward/format_reward").to_numpy(), [0.5, np.nan, 0.5, np.nan])


def test_conversations_are_read_as_text(tmp_path: Path) -> None:
    chat = [[{"role": "user", "content": text}] for text in PROMPTS]
    table = open_dump(trl(tmp_path, prompt=chat)).table(5)
    assert table.column("prompt").to_pylist()[0] == "user: 2 + 2 ="
    assert table.column("group").to_pylist() == [0, 0, 1, 1]


def test_verl_generations_become_a_table(tmp_path: Path) -> None:
    dump = open_dump(verl(tmp_path / "rollouts").parent)
    assert (dump.trainer, dump.steps) == ("verl", [5])
    table = dump.table(5)
    assert table.column("prompt").to_pylist() == PROMPTS
    assert table.column("reward").to_pylist() == [0, 0.5, 1, 1.5]
    assert table.column("reward/acc").to_pylist() == [1, 0, 1, 0]
    assert {"reward/step", "reward/pred", "advantage"}.isdisjoint(table.column_names)
    assert "no influence" in dump.cannot


def test_dumps_are_found_by_name_and_runs_are_passed_over(tmp_path: Path) -> None:
    trl(tmp_path / "a" / "completions")
    verl(tmp_path / "b" / "rollouts")
    verl(tmp_path / "run" / "rollouts")
    (tmp_path / "run" / "run.json").write_text("{}")
    verl(tmp_path / ".hidden")
    assert find_dumps(tmp_path) == [tmp_path / "a" / "completions", tmp_path / "b" / "rollouts"]


def one_line(error: pytest.ExceptionInfo[BadInputError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([{"input": "a"}], "line 1 has no output"),
        ([{"input": "a", "output": "b"}, [1]], "line 2 is not a JSON object"),
    ],
)
def test_lines_that_are_not_verls_are_named(tmp_path: Path, lines: list[Any], complaint: str) -> None:
    dump = open_dump(verl(tmp_path, rows=lines))
    with pytest.raises(BadInputError) as error:
        dump.table(5)
    assert complaint in one_line(error)


def test_what_is_neither_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "nowhere"):
        with pytest.raises(BadInputError, match="recorded sequences") as error:
            open_dump(path)
        one_line(error)
    dump = open_dump(trl(tmp_path, completion=None))
    with pytest.raises(BadInputError, match="no column completion") as error:
        dump.table(5)
    one_line(error)
    (tmp_path / "completions_00006.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(BadInputError, match="not a sound Parquet file") as error:
        open_dump(tmp_path).table(6)
    one_line(error)
    with pytest.raises(BadInputError, match="steps 5 to 6"):
        open_dump(tmp_path).table(7)
    (tmp_path / "9.jsonl").write_bytes(b"\xff\xfe{")
    with pytest.raises(BadInputError, match="line 1 is not JSON"):
        open_dump(tmp_path / "9.jsonl").table(9)

"""Other trainers' files on the page Sequences: written anew, half written, damaged, odd, searched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pages import Open, errors, listed, press, tick, words
from streamlit.testing.v1 import AppTest
from trainer_dumps import trl, verl

from app.sequences.listing import CELL_CHARACTERS
from app.shell.sequence_columns import MOST_SEARCHED, RowQuery, rows
from engine.errors import BadInputError
from engine.recording.readers.verl import UNFINISHED


def write(folder: Path, scores: list[float], step: int = 1) -> None:
    rows = [{"input": f"q{i}", "output": f"answer {i}", "score": score, "step": step} for i, score in enumerate(scores)]
    verl(folder / "dump", step, rows)


def opened(open_page: Open, folder: Path, run: str = "dump", **query: str) -> AppTest:
    app = open_page("sequences", folder, run=run, **query)
    assert errors(app) == []
    return app


def test_a_file_that_became_shorter_is_shown_as_it_is(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path, [0.0] * 250)
    app = opened(open_page, tmp_path, list_page="3", sort="reward")
    app = tick(app, "sequences_table", 30)
    assert app.session_state["record"] == 230
    write(tmp_path, [0.0] * 3)
    app.run()
    assert errors(app) == []
    assert "**3** sequences" in words(app)
    assert listed(app)["response"].tolist() == ["answer 0", "answer 1", "answer 2"]
    assert app.session_state["record"] == 0
    assert app.session_state["sequences_table"]["selection"]["rows"] == [0]
    write(tmp_path, [])
    app.run()
    assert errors(app) == []
    assert "There are no sequences" in words(app)


def test_a_file_that_became_longer_is_listed_whole(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path, [0.0] * 6)
    app = opened(open_page, tmp_path)
    write(tmp_path, [0.0] * 9)
    app.run()
    assert errors(app) == []
    assert "**9** sequences" in words(app)
    assert len(listed(app)) == 9


def test_the_order_is_that_of_the_numbers_that_are_there_now(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 3, 4])
    app = opened(open_page, tmp_path, sort="reward", order="highest first")
    assert listed(app)["reward"].tolist() == [4, 3, 2, 1]
    write(tmp_path, [-1, -2, -3, -4])
    app.run()
    assert listed(app)["reward"].tolist() == [-1, -2, -3, -4]
    assert app.session_state["record"] == 0


def test_another_file_of_the_same_size_and_time_is_another_file(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path, [1, 2])
    file = tmp_path / "dump" / "1.jsonl"
    app = opened(open_page, tmp_path)
    times = file.stat().st_mtime_ns
    (tmp_path / "new").write_text(file.read_text().replace("answer", "ANSWER"))
    os.utime(tmp_path / "new", ns=(times, times))
    (tmp_path / "new").replace(file)
    app.run()
    assert listed(app)["response"].tolist() == ["ANSWER 0", "ANSWER 1"]


def test_a_last_line_that_is_not_whole_is_left_out_and_said(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path, [1, 2])
    with (tmp_path / "dump" / "1.jsonl").open("a") as file:
        file.write('{"input": "q2", "outp')
    app = opened(open_page, tmp_path)
    assert len(listed(app)) == 2
    assert UNFINISHED in words(app)
    with (tmp_path / "dump" / "1.jsonl").open("a") as file:
        file.write('ut": "answer 2"}\n')
    app.run()
    assert len(listed(app)) == 3
    assert UNFINISHED not in words(app)


BAD: dict[str, bytes] = {
    "is not JSON": b"hello\n",
    "line 1 has no output": b'{"input": "a"}\n',
    "too large": b'{"input": ' + 900 * b"[" + 900 * b"]" + b', "output": ""}\n',
}


@pytest.mark.parametrize("complaint", BAD)
def test_a_bad_step_leaves_the_others_and_other_dumps_alone(open_page: Open, tmp_path: Path, complaint: str) -> None:
    write(tmp_path, [1, 2], step=1)
    (tmp_path / "dump" / "2.jsonl").write_bytes(BAD[complaint])
    trl(tmp_path / "other")
    app = open_page("sequences", tmp_path, run="dump", round="2")
    [line] = errors(app)
    assert complaint in line
    assert "dump/2.jsonl" in line
    assert app.selectbox(key="run").options == ["dump (view only)", "other (view only)"]
    press(app, "previous_round")
    assert errors(app) == []
    assert len(listed(app)) == 2
    app.selectbox(key="run").set_value("other").run()
    assert errors(app) == []
    assert len(listed(app)) == 4


@pytest.mark.parametrize("name", ["1.jsonl", "completions_00001.parquet"])
def test_pipes_and_links_are_one_line(open_page: Open, tmp_path: Path, name: str) -> None:
    for folder in ("pipe", "link"):
        (tmp_path / folder).mkdir()
    os.mkfifo(tmp_path / "pipe" / name)
    (tmp_path / "link" / name).symlink_to("/dev/zero")
    for folder in ("pipe", "link"):
        [line] = errors(open_page("sequences", tmp_path, run=folder))
        assert f"{folder}/{name} is a link or no plain file" in line


def test_a_step_that_is_gone_is_one_line(open_page: Open, tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, [1, 2], step)
    app = opened(open_page, tmp_path, round="3")
    (tmp_path / "dump" / "3.jsonl").unlink()
    app.run()
    assert errors(app) == []
    assert app.session_state["round"] in (1, 2)


def test_a_file_without_rows_is_an_empty_page(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    empty = pd.DataFrame({"step": [], "prompt": [], "completion": [], "acc": [], "advantage": []})
    empty.to_parquet(tmp_path / "dump" / "completions_00001.parquet")
    app = opened(open_page, tmp_path)
    assert "There are no sequences" in words(app)


def test_a_folder_whose_name_is_not_utf8_takes_the_page_from_nobody(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path, [1, 2])
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/\xff"))
    odd.mkdir()
    (odd / "1.jsonl").write_bytes((tmp_path / "dump" / "1.jsonl").read_bytes())
    app = opened(open_page, tmp_path)
    assert app.selectbox(key="run").options == ["dump (view only)", "\ufffd (view only)"]
    assert len(listed(opened(open_page, tmp_path, run="\ufffd"))) == 2


def test_extras_stand_in_the_list_and_can_be_sorted_by(open_page: Open, tmp_path: Path) -> None:
    trl(tmp_path / "dump", 5, n_chars=[3, 1, 2, 4], solution=["b", "a", "d", "c"])
    for name in ("n_chars", "solution"):
        app = opened(open_page, tmp_path, sort=f"extra/{name}")
        values = listed(app)[f"extra/{name}"].tolist()
        assert values == sorted(values)


def test_odd_values_are_shown(open_page: Open, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"input": ["a", None], "output": {"role": "x", "content": ["y"]}, "score": 10**300, "uid": 3, "note": "\ud83d"},
        {"input": None, "output": 4, "score": "nan", "prompt": 3, "record": True, "reward/score": "inf", "uid": 4},
    ]
    verl(tmp_path / "dump", 1, rows)
    for record in "01":
        app = opened(open_page, tmp_path, record=record, sort="reward")
        assert listed(app)["response"].tolist() == ["x: y", "4"]


def test_a_long_text_is_cut_in_the_list_alone(open_page: Open, tmp_path: Path) -> None:
    long = "word " * CELL_CHARACTERS + "the end"
    verl(tmp_path / "dump", 1, [{"input": "q", "output": long}, {"input": "q", "output": "short"}])
    app = opened(open_page, tmp_path, record="0", sequence_search="word the end")
    assert listed(app)["response"].tolist() == [long[:CELL_CHARACTERS] + "…"]
    assert "the end" in words(app)


def test_a_search_takes_any_blanks_for_blanks(open_page: Open, tmp_path: Path) -> None:
    texts = ("red  fox", "blue\nwhale", "green\t fox", "other")
    verl(tmp_path / "dump", 1, [{"input": "p", "output": text} for text in texts])
    for asked, found in (("red fox", 0), ("red  fox", 0), (" BLUE whale ", 1), ("green\tfox", 2), ("green\t fox", 2)):
        app = opened(open_page, tmp_path, sequence_search=asked)
        assert listed(app)["record"].tolist() == [found]
    assert len(listed(opened(open_page, tmp_path, sequence_search="   "))) == 4


def test_too_long_a_search_is_one_line(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path, [1, 2])
    [line] = errors(open_page("sequences", tmp_path, run="dump", sequence_search="x" * 100_000))
    assert f"at most {MOST_SEARCHED:,}" in line
    table = pa.table(
        {"prompt": pa.array(["é*" * 500], pa.large_string()), "response": pa.array([""], pa.large_string())}
    )
    assert rows(table, RowQuery("é*" * 500)).tolist() == [0]
    assert rows(table, RowQuery(" ".join("é" * MOST_SEARCHED))).tolist() == []
    with pytest.raises(BadInputError, match="at most"):
        rows(table, RowQuery("é" * (MOST_SEARCHED + 1)))

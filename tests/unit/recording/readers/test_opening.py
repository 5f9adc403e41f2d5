"""The files of a dump are plain files below the folder that somebody named: no link, no pipe, no device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trainer_dumps import verl

from engine.errors import BadInputError, EngineError, StorageError
from engine.recording.readers.dumps import find_dumps, open_dump

NAMES = ["1.jsonl", "completions_00001.parquet"]


def refusal(folder: Path) -> str:
    with pytest.raises(EngineError) as error:
        open_dump(folder).table(1)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert f"{name} is a link or no plain file" in refusal(tmp_path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "nowhere", "secret.jsonl"])
def test_a_link_is_not_followed(tmp_path: Path, name: str, target: str) -> None:
    secret = verl(tmp_path / "elsewhere").rename(tmp_path / "secret.jsonl")
    folder = tmp_path / "dump"
    folder.mkdir()
    (folder / name).symlink_to(secret if target == secret.name else target)
    assert f"{name} is a link or no plain file" in refusal(folder)


def test_a_folder_with_the_name_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").mkdir()
    assert "no plain file" in refusal(tmp_path)


def test_what_is_named_may_be_a_link_and_nothing_below_it(tmp_path: Path) -> None:
    verl(tmp_path / "real" / "inner", 1)
    (tmp_path / "named").symlink_to(tmp_path / "real" / "inner")
    (tmp_path / "2.jsonl").symlink_to(tmp_path / "real" / "inner" / "1.jsonl")
    assert open_dump(tmp_path / "named").table(1).num_rows == 4
    assert open_dump(tmp_path / "2.jsonl").table(2).num_rows == 4
    assert find_dumps(tmp_path / "named") == [tmp_path / "named"]
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "linked").symlink_to(tmp_path / "real")
    assert find_dumps(tmp_path / "top") == []


def test_a_file_that_is_gone_by_now_is_one_line(tmp_path: Path) -> None:
    dump = open_dump(verl(tmp_path, 1).parent)
    (tmp_path / "1.jsonl").unlink()
    for ask in (dump.table, dump.stamp):
        with pytest.raises(StorageError, match=r"1\.jsonl can't be read \(No such file"):
            ask(1)
    with pytest.raises(BadInputError, match="is not there"):
        open_dump(tmp_path / "gone")


def test_names_that_are_not_utf8_can_be_printed(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/od\xffd\nname"))
    folder.mkdir()
    (folder / "1.jsonl").write_text("[]")
    assert "od\ufffdd name/1.jsonl, line 1 is not a JSON object" in refusal(folder).encode().decode()


def test_a_file_that_is_written_anew_has_another_stamp(tmp_path: Path) -> None:
    dump = open_dump(verl(tmp_path, 1).parent)
    before, text = dump.stamp(1), (tmp_path / "1.jsonl").read_text()
    assert dump.stamp(1) == before
    (tmp_path / "new").write_text(text)
    os.utime(tmp_path / "new", ns=(before[0], before[0]))
    (tmp_path / "new").replace(tmp_path / "1.jsonl")
    assert dump.stamp(1) != before, "another file of the same size and time"

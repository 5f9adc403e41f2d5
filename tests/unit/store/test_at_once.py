"""A folder appears with everything in it, or not at all."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from engine.errors import BadInputError
from engine.store.at_once import appears_at_once


def test_it_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    with appears_at_once(tmp_path / "copy", "copy") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "copy").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert (tmp_path / "copy" / "a").read_text() == "1"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), appears_at_once(tmp_path / "copy", "copy") as folder:
        (folder / "a").write_text("1")
        raise ZeroDivisionError
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_replaced_but_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with appears_at_once(Path(), "copy") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "empty" / "a").read_text() == "1"
    with (
        pytest.raises(BadInputError, match="empty is there already; choose another folder for the copy"),
        appears_at_once(tmp_path / "empty", "copy"),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(BadInputError, match="file is there already"),
        appears_at_once(tmp_path / "file", "copy"),
    ):
        pass

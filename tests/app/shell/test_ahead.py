"""Modules that are imported ahead: all that pages need, once, and not before the server is up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from pages import ROOT

from app import charts
from app.shell import ahead


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ahead.import_pages.cache_clear()
    monkeypatch.setattr(ahead, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(ahead, "LOOK_SECONDS", 0.0)
    yield
    ahead.import_pages.cache_clear()


def test_every_page_finds_what_it_imports() -> None:
    code = """
import ast, pathlib, sys
from app.shell import ahead
ahead.PAUSE_SECONDS = 0
ahead.import_pages().join()
pages = [ast.parse(page.read_text()) for page in pathlib.Path("app/views").glob("*.py")]
named = {node.module for page in pages for node in page.body if isinstance(node, ast.ImportFrom)}
print(*sorted((named | {"engine.kinds.control.kind"}) - {*sys.modules}), len(named) > 20, "app.views.runs" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["True", "False"]


def test_it_is_done_once_and_not_before_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    answers = iter([False, False, True])

    def may_begin() -> bool:
        said.append("asked")
        return next(answers)

    monkeypatch.setattr(ahead, "PACKAGES", ("app.charts",))
    monkeypatch.setattr(ahead, "import_module", lambda name: said.append("imported") or charts)
    begun = ahead.import_pages(may_begin)
    begun.join(30)
    assert said[:4] == ["asked", "asked", "asked", "imported"]
    assert ahead.import_pages(may_begin) is begun


def test_a_condition_that_never_holds_is_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(ahead, "PACKAGES", ())
    begun = ahead.import_pages(lambda: False)
    begun.join(30)
    assert not begun.is_alive()

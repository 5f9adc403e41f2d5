"""Modules that are imported ahead: all that pages need, once, and not before they may be."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pages import ROOT

from app import charts
from app.shell import ahead


def test_every_page_finds_what_it_imports() -> None:
    code = """
import ast, gc, pathlib, sys
from app.shell import ahead
ahead.import_pages().join()
pages = [ast.parse(page.read_text()) for page in pathlib.Path("app/views").glob("*.py")]
named = {node.module for page in pages for node in page.body if isinstance(node, ast.ImportFrom)}
print(*sorted((named | {"engine.kinds.control.kind"}) - {*sys.modules}), len(named) > 20, "app.views.runs" in sys.modules)
print(gc.get_freeze_count() > 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["True", "False", "True"]


def test_it_is_done_once_and_not_before_it_may_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def begin() -> None:
        said.append("waited")

    monkeypatch.setattr(ahead, "PACKAGES", ("app.charts",))
    monkeypatch.setattr(ahead, "import_module", lambda name: said.append("imported") or charts)
    begun = ahead.import_pages(begin)
    begun.join(30)
    assert said[:2] == ["waited", "imported"]
    assert ahead.import_pages(begin) is begun

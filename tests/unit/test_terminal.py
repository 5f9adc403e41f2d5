"""What the terminal says of the time that is left, and how it shows tables."""

from __future__ import annotations

import pytest

from engine import terminal
from engine.terminal import Estimate


def test_the_time_left_follows_the_pace_since_the_start() -> None:
    left = Estimate()
    assert left(40, 100, now=1000) == ""  # done before by somebody else
    assert left(40, 100, now=1005) == ""
    assert left(50, 100, now=1010) == ", 50 s left"
    assert left(60, 100, now=1200) == ", 7 min left"
    assert left(100, 100, now=1300) == ""
    assert left(41, 100, now=1000 + 600) == ", 9.8 h left"


def test_a_long_table_looks_as_a_short_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ("round", "stored", "mean_return", "name")
    rows = [(0, "yes", -1.23456789, "[b]bold[/b]"), (10_000, "metrics only", None, "\a文字")]
    terminal.print_table(columns, rows)
    short = capsys.readouterr().out
    monkeypatch.setattr(terminal, "MANY_ROWS", 1)
    terminal.print_table(columns, rows)
    long = capsys.readouterr().out
    assert [line.rstrip() for line in long.splitlines()] == [line.rstrip() for line in short.splitlines()]
    assert "\a" not in long

"""What tests of commands share."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from commands import Command, Outcome

from engine.__main__ import main
from engine.store.read import Run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `python -m engine ...` in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["engine", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return Outcome(int(stopped.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Path:
    """A copy of a run of 140 records a round that a test may damage."""
    shutil.copytree(cartpole.path, tmp_path / "runs" / "cartpole", ignore=shutil.ignore_patterns("derived"))
    return tmp_path / "runs" / "cartpole"

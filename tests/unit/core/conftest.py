"""A round that replays are made of, and how many were made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.core.effort import Effort
from engine.core.replays import many as replaying
from engine.core.replays.many import removal_name
from engine.kinds.control.kind import ControlKind
from engine.store.read import Run
from engine.store.snapshot import Snapshot


@pytest.fixture
def snapshot(cartpole: Run, tmp_path: Path) -> Snapshot:
    """Round 1 of 140 records; nothing is kept from other tests."""
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run").snapshot(1)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Name and order of every replay that was really made in this process."""
    made: list[tuple[str, int]] = []
    real = replaying.run_replays

    def counted(snapshot: Snapshot, targets: Any, task: replaying.ReplayTask) -> np.ndarray:
        made.extend((removal_name(each.removed), each.order) for each in task.replays)
        return real(snapshot, targets, task)

    monkeypatch.setattr(replaying, "run_replays", counted)
    return made


@pytest.fixture
def _few_replays_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit to replays needs a dozen of them."""
    monkeypatch.setattr(ControlKind, "effort", Effort(pairs=6))

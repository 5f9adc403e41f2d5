"""A run whose policies can't be played, recorded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unplayed_models import record_elsewhere

import engine
from engine.store.read import Run


@pytest.fixture(scope="session")
def _recorded_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    path = tmp_path_factory.mktemp("unplayed") / "run"
    return path, record_elsewhere(path)


@pytest.fixture(scope="session")
def unplayed_model(_recorded_elsewhere: tuple[Path, Any]) -> Any:
    """Its environments are in other processes, from which no state comes."""
    return _recorded_elsewhere[1]


@pytest.fixture(scope="session")
def unplayed_run(_recorded_elsewhere: tuple[Path, Any]) -> Run:
    """Three rounds of it."""
    return engine.open_run(_recorded_elsewhere[0])

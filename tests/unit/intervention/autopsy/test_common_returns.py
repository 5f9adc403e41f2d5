"""Returns on common seeds are kept, and others than their own are as if there were none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.intervention.autopsy.common_returns import CommonReturns
from engine.store.read import Run

VALUES = np.arange(8.0)


@pytest.fixture
def run(cartpole: Run, tmp_path: Path) -> Run:
    shutil.copytree(cartpole.path, tmp_path / "run", ignore=shutil.ignore_patterns("derived"))
    return engine.open_run(tmp_path / "run")


def test_what_is_kept_is_found_again_and_nothing_else(run: Run) -> None:
    CommonReturns(run, 1, 8, {"last": 3}).keep("a", VALUES)
    assert CommonReturns(run, 1, 8, {"last": 3})["a"].tolist() == VALUES.tolist()
    for other in ((0, 8, {"last": 3}), (1, 4, {"last": 3}), (1, 8, {"last": 2})):
        assert "a" not in CommonReturns(run, *other)
    assert "a" not in CommonReturns(run, 1, 8, {"last": 3}, cache=False)


def test_a_damaged_cache_is_none(run: Run) -> None:
    CommonReturns(run, 1, 8, {}).keep("a", VALUES)
    (file,) = (run.path / "derived").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert "a" not in CommonReturns(run, 1, 8, {})


def test_without_a_cache_nothing_is_written(run: Run) -> None:
    CommonReturns(run, 1, 8, {}, cache=False).keep("a", VALUES)
    assert not (run.path / "derived").exists()

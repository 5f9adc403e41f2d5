"""Small rounds of several environments, for the part of Diagnose about bottom records."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from worlds import record

from engine.store.read import Run

SMALL = {"rounds": 1, "n_envs": 2, "n_steps": 120, "n_epochs": 2, "batch_size": 32, "seed": 1}


LAKE, ROOM, PENDULUM = "FrozenLake-v1", "MiniGrid-Empty-8x8-v0", "Pendulum-v1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cartpole: Run) -> Path:
    folder = tmp_path_factory.mktemp("bottom")
    shutil.copytree(cartpole.path, folder / "cartpole")
    record(folder / LAKE, LAKE, **SMALL)
    record(folder / ROOM, ROOM, **SMALL)
    record(folder / PENDULUM, PENDULUM, **SMALL)
    return folder

"""Faults that are really planted, and folders that are continued."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.errors import BadInputError, DamagedRunError
from engine.executors import Pool
from engine.experiments.faultlab import lab
from engine.experiments.faultlab.cell import Cell
from engine.experiments.faultlab.plants import PLANTS
from engine.experiments.faultlab.table import is_right
from engine.store.files import Files

SMALL = {"n_envs": 2, "n_steps": 128, "n_epochs": 2, "batch_size": 64}
CELL = Cell("FrozenLake-v1", 3, 2, settings=SMALL)


@pytest.fixture
def two_plants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "PLANTS", {name: PLANTS[name] for name in ("nothing", "gamma")})


@pytest.mark.usefixtures("two_plants")
def test_planted_faults_are_named_and_a_finished_cell_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = lab.examine([CELL], tmp_path, pool=Pool("inline"))
    asked = [(each.plant, each.form, each.round) for each in found.answers]
    clean = [("nothing", "gross", k) for k in range(3)]
    assert asked == [*clean, ("gamma", "gross", 2), ("gamma", "mild", 2)]
    assert all(is_right(each, each.named) for each in found.answers)
    assert "gamma 0.97" in found.answers[-1].failed[0].what

    trained: list[Any] = []
    monkeypatch.setattr(lab, "answered", lambda cell: trained.append(cell) or found.answers)
    other = replace(CELL, seed=4)
    again = lab.examine([CELL, other], tmp_path, pool=Pool("inline"))
    assert trained == [other]
    assert again == [found, replace(other, answers=found.answers)]


def test_a_cell_of_other_settings_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    CELL.write(tmp_path)
    with pytest.raises(BadInputError, match="another round, other settings or arms"):
        lab.examine([replace(CELL, round=3)], tmp_path, pool=Pool("inline"))
    file = tmp_path / CELL.file_name
    file.write_bytes(file.read_bytes().replace(b'"seed": 3', b'"seed": 5'))
    with pytest.raises(DamagedRunError, match="sha256"):
        lab.examine([CELL], tmp_path, pool=Pool("inline"))


def test_bad_settings_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="n_stepz"):
        lab.examine([replace(CELL, settings={"n_stepz": 1})], tmp_path / "out", pool=Pool("inline"))
    assert not Files().exists(tmp_path / "out")


def test_a_planted_round_follows_where_the_clean_run_stopped(tmp_path: Path) -> None:
    config = engine.preset("FrozenLake-v1", "v0.1", rounds=2, seed=3, **SMALL)
    clean = engine.train(config, tmp_path / "clean")
    rounds = engine.rounds(config, tmp_path / "stopped")
    assert [next(rounds).round for _ in range(2)] == [0, 1], "a round is kept once the next one is asked for"
    rounds.close()
    run = lab.plant_in(tmp_path / "stopped", PLANTS["nothing"], 0.0, np.random.default_rng(0))
    after, wanted = run.checkpoint(2), clean.checkpoint(2)
    assert {name: value.tobytes() for name, value in after.items()} == {n: v.tobytes() for n, v in wanted.items()}

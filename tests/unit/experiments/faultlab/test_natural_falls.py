"""Trainings that fall, judged with luck that no autopsy has seen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.core.evaluation import EVALUATION_SEED
from engine.core.kind import kind_of
from engine.errors import BadInputError
from engine.executors import Pool
from engine.experiments.faultlab import natural_falls as falls
from engine.experiments.faultlab.natural_falls import UNSEEN, FallsCell
from engine.intervention.autopsy.kept_returns import EPISODES
from engine.kinds.control.evaluation import Evaluator

SMALL = {"n_steps": 256, "n_epochs": 4, "batch_size": 64}
CELL = FallsCell("CartPole-v1", 0, 100.0, 8, most=1, blocks=2, episodes=16, settings=SMALL)
SEEDS = range(5)
"""Trainings with one of them fall; with which, rounding decides, which differs between processors."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[FallsCell, Path]:
    """A cell that was asked and has a fall, and its folder."""
    out = tmp_path_factory.mktemp("falls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(falls, "autopsy", partial(engine.autopsy, episodes=8))
        for seed in SEEDS:
            (cell,) = falls.judge_falls([replace(CELL, seed=seed)], out, pool=Pool("inline"))
            if any(each.fell for each in cell.answers):
                return cell, out
    raise AssertionError("none of them fell")


def test_falls_are_those_of_the_trained_policies(found: tuple[FallsCell, Path], tmp_path: Path) -> None:
    cell, _ = found
    run = engine.train(
        engine.preset("CartPole-v1", "default", rounds=8, seed=cell.seed, learning_rate=3e-2, **SMALL), tmp_path / "run"
    )
    assert [each.round for each in cell.answers] == run.stored_rounds
    (fall,) = (each for each in cell.answers if each.judged is not None)
    assert fall.fell

    k, evaluator = fall.round, Evaluator(engine.envs.find("CartPole-v1"))
    before, after = (kind_of(each).agent(each) for each in (run.snapshot(k), run.snapshot(k + 1)))

    def mean(agent: Any, block: int) -> float:
        seeds = EVALUATION_SEED + EPISODES + block * CELL.episodes + np.arange(CELL.episodes)
        return float(evaluator.returns(agent, seeds).mean())

    assert fall.change.value == pytest.approx(mean(after, 0) - mean(before, 0))
    assert fall.judged is not None
    assert fall.judged.change == pytest.approx([mean(after, 1) - mean(before, 1), mean(after, 2) - mean(before, 2)])
    other_order = engine.replay(run.snapshot(k), order=UNSEEN + 3).agent
    assert fall.judged.arms["order"][1] == pytest.approx(mean(other_order, 2) - mean(after, 2))
    assert set(fall.judged.arms) == {"order", "data", "step"}
    evaluator.close()


def test_a_finished_cell_is_not_done_again(found: tuple[FallsCell, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    cell, out = found
    asked: list[Any] = []
    monkeypatch.setattr(falls, "answered", lambda cell: asked.append(cell) or ())
    asks = replace(cell, answers=())
    other = replace(asks, factor=10.0)
    assert falls.judge_falls([asks, other], out, pool=Pool("inline")) == [cell, other]
    assert asked == [other]
    with pytest.raises(BadInputError, match="other rounds, settings or numbers of falls"):
        falls.judge_falls([replace(asks, blocks=3)], out, pool=Pool("inline"))
